//! `steadfast init`: a commented `config/` to start from.

use crate::cli::{Global, InitArgs};
use crate::report::{Exit, Trouble};
use crate::term;
use std::fs;
use std::path::Path;

const FILES: [(&str, &str); 6] = [
    ("steadfast.toml", include_str!("../../../config/steadfast.toml")),
    ("risk.toml", include_str!("../../../config/risk.toml")),
    ("notify.toml", include_str!("../../../config/notify.toml")),
    ("venues/bitget.toml", include_str!("../../../config/venues/bitget.toml")),
    ("strategies/btc-grid.toml", include_str!("../../../config/strategies/btc-grid.toml")),
    ("strategies/btc-maker.toml", include_str!("../../../config/strategies/btc-maker.toml")),
];

/// `steadfast init`
///
/// # Errors
/// [`Trouble`] when settings are there already or cannot be written.
pub fn run(global: &Global, args: &InitArgs) -> Result<(), Trouble> {
    if args.venue != "bitget" {
        return Err(Trouble::new(Exit::Usage, format!("unknown venue `{}`", args.venue)).fix("known: bitget"));
    }
    let wanted = match args.strategy.as_str() {
        "grid" => "strategies/btc-grid.toml",
        "market-maker" => "strategies/btc-maker.toml",
        other => {
            return Err(
                Trouble::new(Exit::Usage, format!("unknown strategy kind `{other}`")).fix("known: grid, market-maker")
            );
        }
    };
    let config = if args.dir == Path::new(".") { "config".into() } else { args.dir.join("config") };
    if let Some((there, _)) = FILES.iter().find(|(name, _)| config.join(name).exists()) {
        return Err(Trouble::new(Exit::Failure, format!("{} is there already", config.join(there).display()))
            .why("init never overwrites a file")
            .fix("edit them, or name another directory with --dir"));
    }
    let mut written = Vec::new();
    for (name, text) in FILES {
        if name.starts_with("strategies/") && name != wanted {
            continue;
        }
        let text = if args.demo { for_exchange_demo(name, text) } else { text.to_owned() };
        write(&config.join(name), &text)?;
        written.push(config.join(name).display().to_string());
    }
    fs::create_dir_all(config.join("conf.d")).map_err(|error| {
        Trouble::new(Exit::Failure, format!("cannot create {}", config.join("conf.d").display())).why(error)
    })?;
    if global.json {
        term::data(&serde_json::json!({ "written": written }).to_string());
        return Ok(());
    }
    for name in &written {
        term::data(&format!("wrote {name}"));
    }
    let next = if args.demo {
        "next: on the exchange, switch to demo trading and create an API key: choose a passphrase, tick read and\n\
         trade only, bind it to this machine's address, confirm by e-mail. Then:\n  \
         steadfast keys add bitget-main --venue bitget --demo\n  steadfast check\n  steadfast run --live"
    } else {
        "next:\n  steadfast sim --listen 127.0.0.1:7450        in another terminal: prints key, secret, passphrase\n  \
         steadfast keys add bitget-main --venue bitget\n  steadfast check\n  steadfast run"
    };
    term::say(global, next);
    Ok(())
}

/// The embedded exchange's addresses give way to the exchange's own demo environment.
fn for_exchange_demo(name: &str, text: &str) -> String {
    match name {
        "steadfast.toml" => text.replacen("mode = \"sim\"", "mode = \"live\"", 1),
        "venues/bitget.toml" => text
            .lines()
            .map(|line| {
                let address = ["rest = ", "ws_public = ", "ws_private = "].iter().any(|key| line.starts_with(key));
                if address {
                    format!("# {line}\n")
                } else {
                    format!("{}\n", line.replacen("environment = \"sim\"", "environment = \"demo\"", 1))
                }
            })
            .collect(),
        _ => text.to_owned(),
    }
}

fn write(path: &Path, text: &str) -> Result<(), Trouble> {
    let cannot = |error: std::io::Error| {
        Trouble::new(Exit::Failure, format!("cannot write {}", path.display()))
            .why(error)
            .fix("name a directory that you may write with --dir")
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent).map_err(cannot)?;
    }
    fs::write(path, text).map_err(cannot)
}
