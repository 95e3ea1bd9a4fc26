//! The strategy kinds that are built in, and how they are made from a settings file.

mod grid;
mod maker;
mod opening;

pub use grid::{Grid, GridLevels, GridParams};
pub use maker::{MakerParams, MarketMaker};

use crate::api::Strategy;
use domain::{Amount, Market, PositionEffect, PositionSide};
use settings::{KeyPath, Problem, Problems, SectionSchema, did_you_mean};

/// What a kind is told when one of its strategies is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindSetup {
    /// Orders it may ask for in any second: its share of the account's limit; at least 1.
    pub orders_per_second: u32,
    /// Where its instrument is traded.
    pub market: Market,
    /// The position that it works on; net but in hedge mode.
    pub position_side: PositionSide,
}

impl KindSetup {
    /// Which positions it may hold.
    pub(crate) const fn stance(self) -> Stance {
        match (self.market, self.position_side) {
            (Market::UsdtFutures, PositionSide::Net) => Stance::Both,
            (Market::UsdtFutures, PositionSide::Short) => Stance::Short,
            _ => Stance::Long,
        }
    }

    /// What an order that opens or closes a position on its side says of it.
    pub(crate) const fn effect(self) -> PositionEffect {
        PositionEffect { side: self.position_side, reduce_only: false }
    }

    /// Why an opening position makes no sense here; `None`: it does.
    fn opening_problem(self, opening: Amount, place: &KeyPath) -> Option<Problem> {
        let pointless = self.stance() == Stance::Both && opening.0 > rust_decimal::Decimal::ZERO;
        pointless.then(|| {
            let message = "is for spot and hedge mode: on a perpetual in one-way mode it goes long and short by itself";
            Problem::at(&place.child("opening_position"), message, "delete it")
        })
    }

    fn admits(self, opening: Amount, place: &KeyPath) -> Result<(), Problems> {
        self.opening_problem(opening, place).map_or(Ok(()), |problem| Err(Problems(vec![problem])))
    }
}

/// Which positions a strategy may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stance {
    /// What it bought: spot, and the long side of hedge mode.
    Long,
    /// What it sold: the short side of hedge mode.
    Short,
    /// Either, around zero: a perpetual in one-way mode.
    Both,
}

type Build = fn(KindSetup, &serde_json::Value, &KeyPath) -> Result<Box<dyn Strategy>, Problems>;

/// One kind of strategy.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Its name in a settings file.
    pub name: &'static str,
    /// Its parameters, for the reference.
    pub schema: fn() -> SectionSchema,
    /// Makes one from the raw parameters that stand at this path.
    build: Build,
}

impl Kind {
    /// Makes a strategy from its raw parameters; `place` is where they stand in the settings tree.
    ///
    /// # Errors
    /// Every problem of the parameters; `Loaded::located` adds file and line.
    pub fn build(
        &self,
        setup: KindSetup,
        params: &serde_json::Value,
        place: &KeyPath,
    ) -> Result<Box<dyn Strategy>, Problems> {
        (self.build)(setup, params, place)
    }
}

/// Every kind.
#[must_use]
pub const fn kinds() -> &'static [Kind] {
    const KINDS: &[Kind] = &[
        Kind {
            name: "grid",
            schema: <grid::GridSettings as settings::Section>::schema,
            build: |setup, params, place| {
                let params = GridParams::read(params, place)?;
                setup.admits(params.opening_position, place)?;
                Ok(Box::new(Grid::new(params, setup)))
            },
        },
        Kind {
            name: "market-maker",
            schema: <maker::MakerSettings as settings::Section>::schema,
            build: |setup, params, place| {
                let params = MakerParams::read(params, place)?;
                setup.admits(params.opening_position, place)?;
                Ok(Box::new(MarketMaker::new(params, setup)))
            },
        },
    ];
    KINDS
}

/// The kind of this name; `place` is where the name stands in the settings tree.
///
/// # Errors
/// A problem that names the nearest kind.
pub fn kind(name: &str, place: &KeyPath) -> Result<&'static Kind, Problem> {
    kinds().iter().find(|kind| kind.name == name).ok_or_else(|| {
        let help = did_you_mean(name, kinds().iter().map(|kind| kind.name));
        Problem::at(place, format!("there is no strategy kind `{name}`"), help)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const SETUP: KindSetup = KindSetup { orders_per_second: 5, market: Market::Spot, position_side: PositionSide::Net };

    #[test]
    fn a_misspelt_kind_names_the_nearest_one() {
        let problem = kind("gird", &KeyPath::dotted("strategies.a.kind")).unwrap_err();
        assert_eq!(problem.help, "did you mean `grid`?");
        assert_eq!(problem.path.to_string(), "strategies.a.kind");
    }

    #[test]
    fn parameters_of_the_documented_files_make_strategies() {
        let place = KeyPath::dotted("strategies.a.params");
        let grid = json!({"lower": "58000", "upper": "66000", "levels": 20, "order_size": "0.0005", "post_only": true});
        assert!(kind("grid", &place).unwrap().build(SETUP, &grid, &place).is_ok());
        let step = json!({"step": "0.005%", "levels": 5, "order_size": "0.0005", "opening_position": "0.0025"});
        assert!(kind("grid", &place).unwrap().build(SETUP, &step, &place).is_ok());
        let maker = json!({"half_spread": "0.005%", "order_size": "0.0005", "max_position": "0.01", "skew": "0.5"});
        assert!(kind("market-maker", &place).unwrap().build(SETUP, &maker, &place).is_ok());
    }

    #[test]
    fn each_wrong_parameter_is_a_problem_at_its_own_key() {
        let place = KeyPath::dotted("strategies.a.params");
        let problems = |name: &str, params: serde_json::Value| {
            let built = kind(name, &place).unwrap().build(SETUP, &params, &place);
            let problems = built.err().map(|problems| problems.0).unwrap_or_default();
            problems.iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
        };
        let at = |key: &str| vec![format!("strategies.a.params.{key}")];
        assert_eq!(problems("grid", json!({"step": "1%", "levels": 5, "order_size": "0"})), at("order_size"));
        assert_eq!(problems("grid", json!({"levels": 5, "order_size": "1"})), at("step"));
        assert_eq!(problems("grid", json!({"lower": "1", "levels": 5, "order_size": "1"})), at("upper"));
        assert_eq!(problems("grid", json!({"lower": "3", "upper": "2", "levels": 5, "order_size": "1"})), at("upper"));
        assert_eq!(problems("grid", json!({"step": "1%", "lower": "2", "levels": 5, "order_size": "1"})), at("step"));
        assert_eq!(
            problems("grid", json!({"step": "1%", "levels": 5, "order_sice": "1", "order_size": "1"})),
            at("order_sice")
        );
        assert_eq!(
            problems("market-maker", json!({"half_spread": "1%", "order_size": "2", "max_position": "1"})),
            at("max_position")
        );
        assert_eq!(
            problems("market-maker", json!({"half_spread": "0%", "order_size": "1", "max_position": "1"})),
            at("half_spread")
        );
        assert_eq!(
            problems("market-maker", json!({"half_spread": "1%", "order_size": "1", "max_position": "1", "skew": "2"})),
            at("skew")
        );
        let setup = KindSetup { market: Market::UsdtFutures, ..SETUP };
        let params = json!({"step": "1%", "levels": 5, "order_size": "1", "opening_position": "1"});
        let built = kind("grid", &place).unwrap().build(setup, &params, &place);
        assert!(built.is_err(), "a perpetual in one-way mode needs no opening position");
        let setup = KindSetup { position_side: PositionSide::Short, ..setup };
        assert!(kind("grid", &place).unwrap().build(setup, &params, &place).is_ok());
    }
}
