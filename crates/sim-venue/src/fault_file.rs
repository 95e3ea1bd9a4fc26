//! Faults from a file or a request: strictly read, and everything that is wrong is told at once.

use crate::fault::known_names;
use crate::{FaultKind, FaultParameters, FaultPlan, FaultPlanError, FaultSite, FaultTime, Permission, PlannedFault};
use serde::Deserialize;
use std::time::Duration;

/// A whole file or request.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    #[serde(default)]
    seed: u64,
    #[serde(default, rename = "fault")]
    faults: Vec<Entry>,
}

/// One fault as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    #[serde(rename = "where")]
    site: Option<String>,
    at_order: Option<u64>,
    at_frame: Option<u64>,
    at_handshake: Option<u64>,
    after_s: Option<f64>,
    probability: Option<f64>,
    times: Option<u32>,
    duration_s: Option<f64>,
    delay_ms: Option<u64>,
    bytes: Option<usize>,
    parts: Option<usize>,
    code: Option<String>,
    jump_ms: Option<i64>,
    key: Option<String>,
    permissions: Option<Vec<String>>,
}

/// Longest time that a file may name: a day.
const TIME_MAX: Duration = Duration::from_secs(86_400);
/// Largest frame that the exchange makes up.
const BYTES_MAX: usize = 64 * 1_024 * 1_024;
/// Frames that one message may be split into.
const PARTS_MAX: usize = 100;
/// Codes of the venue while it is closed; `503` stands for an answer that is no JSON.
pub(crate) const MAINTENANCE_CODES: [&str; 6] = ["40200", "45001", "40725", "40015", "50031", "503"];

impl FaultPlan {
    /// Reads a file; each fault needs a time.
    ///
    /// # Errors
    /// [`FaultPlanError::Problems`]: every problem, with its line.
    pub fn from_toml(text: &str) -> Result<Self, FaultPlanError> {
        let document: Document =
            toml_edit::de::from_str(text).map_err(|error| one(error.to_string().trim_end().to_owned()))?;
        let heads = text.lines().enumerate().filter(|(_, line)| line.trim_start().starts_with("[[fault]]"));
        let lines: Vec<usize> = heads.map(|(number, _)| number + 1).collect();
        let place = |position: usize| match lines.get(position) {
            Some(line) => format!("line {line}: "),
            None => String::new(),
        };
        checked(document, place, false)
    }

    /// Reads a request; a fault without a time acts at once.
    ///
    /// # Errors
    /// [`FaultPlanError::Problems`]: every problem, with the fault's number.
    pub fn from_json(text: &str) -> Result<Self, FaultPlanError> {
        let document: Document = serde_json::from_str(text).map_err(|error| one(error.to_string()))?;
        checked(document, |_| String::new(), true)
    }
}

const fn problems_of(problems: Vec<String>) -> FaultPlanError {
    FaultPlanError::Problems { problems }
}

fn one(problem: String) -> FaultPlanError {
    problems_of(vec![problem])
}

fn checked(
    document: Document,
    place: impl Fn(usize) -> String,
    now_allowed: bool,
) -> Result<FaultPlan, FaultPlanError> {
    if document.faults.len() > FaultPlan::FAULTS_MAX {
        return Err(one(format!("{} faults are too many; {} are taken", document.faults.len(), FaultPlan::FAULTS_MAX)));
    }
    let (mut faults, mut problems) = (Vec::new(), Vec::new());
    for (position, entry) in document.faults.into_iter().enumerate() {
        let head = format!("{}fault {} (`{}`): ", place(position), position + 1, entry.name);
        match entry.checked(now_allowed) {
            Ok(fault) => faults.push(fault),
            Err(found) => problems.extend(found.into_iter().map(|problem| format!("{head}{problem}"))),
        }
    }
    if problems.is_empty() { Ok(FaultPlan { faults, seed: document.seed }) } else { Err(problems_of(problems)) }
}

/// Collects what is wrong and goes on.
#[derive(Default)]
struct Problems(Vec<String>);

impl Problems {
    fn add(&mut self, problem: impl Into<String>) {
        self.0.push(problem.into());
    }

    fn seconds(&mut self, name: &str, value: Option<f64>) -> Option<Duration> {
        let time = value.map(Duration::try_from_secs_f64);
        match time {
            None => None,
            Some(Ok(time)) if time <= TIME_MAX => Some(time),
            Some(_) => {
                self.add(format!("{name} is a number of seconds from 0 to {}", TIME_MAX.as_secs()));
                None
            }
        }
    }

    fn within<T: PartialOrd + std::fmt::Display>(
        &mut self,
        name: &str,
        value: Option<T>,
        least: T,
        most: T,
    ) -> Option<T> {
        let value = value?;
        if value >= least && value <= most {
            return Some(value);
        }
        self.add(format!("{name} = {value} is not from {least} to {most}"));
        None
    }
}

impl Entry {
    fn checked(self, now_allowed: bool) -> Result<PlannedFault, Vec<String>> {
        let Some(kind) = FaultKind::named(&self.name) else {
            return Err(vec![format!("no such fault; known: {}", known_names())]);
        };
        let mut problems = Problems::default();
        self.judge_names(kind, &mut problems);
        let site = self.site(kind, &mut problems);
        let at = self.time(kind, now_allowed, &mut problems);
        let duration = problems.seconds("duration_s", self.duration_s);
        if duration.is_some() && kind == FaultKind::Drop {
            problems.add("a cut has no duration_s");
        }
        let times = problems.within("times", self.times, 1, 1_000_000);
        if times.is_some() && kind.acts_at_once() {
            problems.add("times counts orders, frames or handshakes; this fault acts at its time, for duration_s");
        }
        let delay = problems.within("delay_ms", self.delay_ms, 0, 600_000).map(Duration::from_millis);
        let bytes = problems.within("bytes", self.bytes, 1_024, BYTES_MAX);
        let parts = problems.within("parts", self.parts, 2, PARTS_MAX);
        let jump_ms = problems.within("jump_ms", self.jump_ms, -86_400_000, 86_400_000);
        let code = self.code(kind, &mut problems);
        let permissions = self.permissions(&mut problems);
        let parameters = FaultParameters { delay, bytes, parts, code, jump_ms, key: self.key, permissions };
        match (problems.0.is_empty(), at) {
            (true, Some(at)) => Ok(PlannedFault { kind, at, site, times, duration, parameters }),
            _ => Err(problems.0),
        }
    }

    fn judge_names(&self, kind: FaultKind, problems: &mut Problems) {
        let given = [
            ("delay_ms", self.delay_ms.is_some()),
            ("bytes", self.bytes.is_some()),
            ("parts", self.parts.is_some()),
            ("code", self.code.is_some()),
            ("jump_ms", self.jump_ms.is_some()),
            ("key", self.key.is_some()),
            ("permissions", self.permissions.is_some()),
        ];
        for (name, _) in given.iter().filter(|(name, given)| *given && !kind.parameters().contains(name)) {
            let known = match kind.parameters() {
                [] => "it has none".to_owned(),
                names => format!("it knows {}", names.join(", ")),
            };
            problems.add(format!("{name} is no parameter of this fault; {known}"));
        }
    }

    fn site(&self, kind: FaultKind, problems: &mut Problems) -> FaultSite {
        let Some(given) = &self.site else { return kind.default_site() };
        let found = kind.sites().iter().copied().find(|site| site.name() == given);
        found.unwrap_or_else(|| {
            let known: Vec<&str> = kind.sites().iter().map(|site| site.name()).collect();
            problems.add(format!("where = \"{given}\" is not possible; this fault acts on: {}", known.join(", ")));
            kind.default_site()
        })
    }

    fn time(&self, kind: FaultKind, now_allowed: bool, problems: &mut Problems) -> Option<FaultTime> {
        let mut times = Vec::new();
        times.extend(problems.within("at_order", self.at_order, 1, u64::MAX).map(FaultTime::PlaceRequest));
        times.extend(problems.within("at_frame", self.at_frame, 1, u64::MAX).map(FaultTime::Frame));
        times.extend(problems.within("at_handshake", self.at_handshake, 1, u64::MAX).map(FaultTime::Handshake));
        times.extend(problems.seconds("after_s", self.after_s).map(FaultTime::Elapsed));
        times.extend(self.chance(problems));
        let site = self.site.as_deref().unwrap_or_else(|| kind.default_site().name());
        if self.at_frame.is_some() && !matches!(site, "public" | "private") {
            problems.add("at_frame counts the frames of public or private streams, and this fault acts on neither");
        }
        if self.at_handshake.is_some() && site == "rest" {
            problems.add("at_handshake counts handshakes, and this fault acts on requests");
        }
        let given = [
            self.at_order.is_some(),
            self.at_frame.is_some(),
            self.at_handshake.is_some(),
            self.after_s.is_some(),
            self.probability.is_some(),
        ];
        match given.iter().filter(|given| **given).count() {
            0 if now_allowed => Some(FaultTime::Now),
            1 => times.first().copied(),
            _ => {
                problems.add("needs one time: at_order, at_frame, at_handshake, after_s or probability");
                None
            }
        }
    }

    fn chance(&self, problems: &mut Problems) -> Option<FaultTime> {
        let given = self.probability?;
        let rounded = rust_decimal::Decimal::try_from(given * 1_000_000.0).ok().map(|number| number.round());
        let in_a_million =
            rounded.and_then(|number| u32::try_from(number).ok()).filter(|it| (1..=1_000_000).contains(it));
        if in_a_million.is_none() {
            problems.add(format!("probability = {given} is not from 0.000001 to 1"));
        }
        in_a_million.map(FaultTime::Chance)
    }

    fn code(&self, kind: FaultKind, problems: &mut Problems) -> Option<String> {
        let given = self.code.clone()?;
        let fits = match kind {
            FaultKind::Maintenance => MAINTENANCE_CODES.contains(&given.as_str()),
            FaultKind::Handshake5xx => given.parse::<u16>().is_ok_and(|status| (500..600).contains(&status)),
            _ => true,
        };
        if !fits {
            let known = match kind {
                FaultKind::Maintenance => MAINTENANCE_CODES.join(", "),
                _ => "500 to 599".into(),
            };
            problems.add(format!("code = \"{given}\" is not possible; known: {known}"));
        }
        Some(given)
    }

    fn permissions(&self, problems: &mut Problems) -> Option<Vec<Permission>> {
        let mut permissions = Vec::new();
        for word in self.permissions.as_ref()? {
            match word.parse::<Permission>() {
                Ok(permission) => permissions.push(permission),
                Err(error) => problems.add(error.to_string()),
            }
        }
        Some(permissions)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_where_when_how_often_how_long_and_how() {
        let plan = FaultPlan::from_toml(
            "seed = 7\n\
             [[fault]]\nname = \"ack-lost\"\nat_order = 20\n\
             [[fault]]\nname = \"gap\"\nwhere = \"private\"\nprobability = 0.01\ntimes = 2\n\
             [[fault]]\nname = \"maintenance\"\nafter_s = 1.5\nduration_s = 3\ncode = \"45001\"\n\
             [[fault]]\nname = \"split-frame\"\nat_frame = 4\nparts = 5\ndelay_ms = 30\n\
             [[fault]]\nname = \"slow-handshake\"\nat_handshake = 2\n\
             [[fault]]\nname = \"rights-changed\"\nafter_s = 1\npermissions = [\"read\", \"withdraw\"]\n",
        )
        .unwrap();
        assert_eq!((plan.seed, plan.faults.len()), (7, 6));
        assert_eq!(plan.faults[0], PlannedFault::new(FaultKind::AckLost, FaultTime::PlaceRequest(20)));
        assert_eq!((plan.faults[1].at, plan.faults[1].times), (FaultTime::Chance(10_000), Some(2)));
        assert_eq!(plan.faults[1].site, FaultSite::Private);
        assert_eq!(plan.faults[2].at, FaultTime::Elapsed(Duration::from_millis(1_500)));
        assert_eq!(plan.faults[2].duration, Some(Duration::from_secs(3)));
        assert_eq!(plan.faults[2].parameters.code.as_deref(), Some("45001"));
        assert_eq!(plan.faults[3].parameters.delay, Some(Duration::from_millis(30)));
        assert_eq!(plan.faults[4].at, FaultTime::Handshake(2));
        assert_eq!(plan.faults[5].parameters.permissions, Some(vec![Permission::Read, Permission::Withdraw]));
    }

    #[test]
    fn everything_that_is_wrong_is_told_at_once_with_its_line() {
        let error = FaultPlan::from_toml(
            "[[fault]]\nname = \"gep\"\nat_order = 1\n\n\
             [[fault]]\nname = \"gap\"\n\n\
             [[fault]]\nname = \"bad-checksum\"\nwhere = \"rest\"\nat_frame = 0\nbytes = 5\n\
             [[fault]]\nname = \"drop\"\nafter_s = -1\nduration_s = 4\ntimes = 2\n\
             [[fault]]\nname = \"ack-late\"\nafter_s = 1\nat_order = 2\n\
             [[fault]]\nname = \"maintenance\"\nafter_s = 1\ncode = \"40009\"\n\
             [[fault]]\nname = \"rights-changed\"\nafter_s = 1\npermissions = [\"fly\"]\n",
        )
        .unwrap_err()
        .to_string();
        for part in [
            "line 1: fault 1 (`gep`): no such fault; known: drop, stall",
            "line 5: fault 2 (`gap`): needs one time",
            "line 8: fault 3 (`bad-checksum`): bytes is no parameter of this fault; it has none",
            "where = \"rest\" is not possible; this fault acts on: public",
            "at_frame = 0 is not from 1 to",
            "fault 4 (`drop`): after_s is a number of seconds",
            "a cut has no duration_s",
            "times counts orders",
            "fault 5 (`ack-late`): needs one time",
            "code = \"40009\" is not possible; known: 40200",
            "unknown permission `fly`",
        ] {
            assert!(error.contains(part), "{part}\n---\n{error}");
        }
    }

    #[test]
    fn an_unknown_word_is_refused_with_the_known_ones_and_its_line() {
        let error = FaultPlan::from_toml("[[fault]]\nname = \"gap\"\nafter = 3\n").unwrap_err().to_string();
        assert!(error.contains("line 3") && error.contains("after_s") && error.contains("`after`"), "{error}");
        let error = FaultPlan::from_json(r#"{"fault": [{"name": "gap", "when": 3}]}"#).unwrap_err().to_string();
        assert!(error.contains("`when`") && error.contains("at_order"), "{error}");
    }

    #[test]
    fn the_example_of_the_document_is_read_and_every_fault_is_described_with_its_places_and_parameters() {
        let document = include_str!("../../../docs/sim.md");
        let example = document.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        assert_eq!(FaultPlan::from_toml(example).unwrap().faults.len(), 4);
        for kind in FaultKind::ALL {
            let row =
                document.lines().find(|line| line.starts_with("| `") && line.contains(&format!("`{kind}`"))).unwrap();
            let places = row.split('|').nth(2).unwrap();
            let sites: Vec<&str> = kind.sites().iter().map(|site| site.name()).collect();
            assert_eq!(places.trim(), sites.join(", "), "{kind}");
            assert!(kind.parameters().iter().all(|name| row.contains(&format!("`{name}`"))), "{kind}: {row}");
        }
    }

    #[test]
    fn a_request_may_leave_the_time_out_and_a_file_may_not() {
        let plan = FaultPlan::from_json(r#"{"fault": [{"name": "drop"}]}"#).unwrap();
        assert_eq!(plan.faults[0].at, FaultTime::Now);
        assert!(FaultPlan::from_toml("[[fault]]\nname = \"drop\"\n").is_err());
    }
}
