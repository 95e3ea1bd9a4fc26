//! The declaration macros as another crate uses them, for the parameters of a strategy kind.

use rust_decimal::Decimal;
use serde_json::json;
use settings::{KeyPath, Percent, Section, check};

use crate::common::{VENUE, directory, load_with};

settings::words! {
    /// Which way the ladder goes.
    pub(crate) Direction {
        /// Upwards.
        Up = "up",
        /// Downwards.
        Down = "down",
    }
}

settings::section! {
    /// Parameters of a ladder.
    pub(crate) Ladder, without default {
        /// Rungs.
        rungs: u32 = 5, check check::between(1, 200);
        /// Distance of two rungs.
        step: Option<Percent> = settings::absent();
        /// Size of one order.
        order_size: Decimal, unit "base currency", check check::positive();
        /// Which way.
        direction: Direction = "up";
    }
}

#[test]
fn parameters_are_read_from_a_raw_table() {
    let place = KeyPath::of(["strategy", "ladder", "params"]);
    let ladder: Ladder = settings::read(&json!({ "order_size": "0.5", "step": "1%" }), &place).expect("valid");
    let expected = Ladder {
        rungs: 5,
        step: Some(Percent::from_basis_points(100)),
        order_size: Decimal::new(5, 1),
        direction: Direction::Up,
    };
    assert_eq!(ladder, expected);
}

#[test]
fn problems_of_parameters_get_file_and_line() {
    let strategy = "kind = \"ladder\"\nvenue = \"bitget-main\"\ninstrument = \"BTCUSDT\"\n[params]\nrungs = 0\nordersize = \
                    \"1\"\ndirection = \"upp\"\n";
    let directory = directory(&[("venues/bitget.toml", VENUE), ("strategies/ladder.toml", strategy)]);
    let loaded = load_with(directory.path(), &[], &[]).expect("the kind is not known here");
    let place = KeyPath::of(["strategy", "ladder", "params"]);
    let params = loaded.settings.strategy["ladder"].params.value();
    let problems = settings::read::<Ladder>(&params, &place).expect_err("four mistakes");
    let lines: Vec<String> = loaded
        .located(problems)
        .0
        .iter()
        .map(|problem| {
            format!("{}:{} {}", problem.line.unwrap_or_default(), problem.path, problem.help.replace('\n', "/"))
        })
        .collect();
    assert_eq!(
        lines,
        [
            "6:strategy.ladder.params.ordersize did you mean `order_size`?/see: config/reference.toml",
            "5:strategy.ladder.params.rungs the default is `5`",
            "4:strategy.ladder.params.order_size add `order_size = ...` here: a decimal number in quotes, such as \"0.1\"",
            "7:strategy.ladder.params.direction did you mean `up`?",
        ]
    );
}

#[test]
fn declaration_becomes_reference() {
    let text = settings::section_toml("strategy.NAME.params", &Ladder::schema());
    let expected = "
# Parameters of a ladder.
[strategy.NAME.params]

# Rungs.
# a whole number; from 1 to 200
rungs = 5

# Distance of two rungs.
# a percentage in quotes, such as \"2%\"
# step =

# Size of one order.
# a decimal number in quotes, such as \"0.1\"; more than 0; in base currency; required
# order_size =

# Which way.
# \"up\" or \"down\"
direction = \"up\"
";
    assert_eq!(text, expected);
    assert!(settings::section_markdown("strategy.NAME.params", &Ladder::schema()).contains("| `rungs` |"));
}
