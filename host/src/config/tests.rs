#![allow(clippy::unwrap_used, reason = "tests")]
use super::*;

fn load(text: &str) -> Result<Config, ConfigError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    Config::load(Some(file.path()))
}

#[test]
fn the_defaults_are_those_of_the_rules() {
    let parameters = load("").unwrap().policy.parameters();
    assert_eq!(parameters, Parameters::default());
    assert_eq!(
        (parameters.idle_after, parameters.tokens_per_owner),
        (15 * 86_400_000, 104)
    );
}

/// The blocks of the README that are configurations, in order.
fn in_the_readme() -> Vec<&'static str> {
    let blocks = include_str!("../../../README.md").split("```toml\n").skip(1);
    blocks.map(|block| block.split_once("```").unwrap().0).collect()
}

#[test]
fn the_readme_shows_every_setting_with_its_default() {
    let shown = in_the_readme();
    let shown = shown.iter().find(|block| block.starts_with("[server]")).unwrap();
    let printed = |config: &Config| toml::to_string(config).unwrap();
    assert_eq!(printed(&load(shown).unwrap()), printed(&Config::default()));

    // Nothing is left out: what has a default is written down as it is, what is off by default as a comment.
    let settings = |text: &str| -> Vec<String> {
        let table: toml::Table = toml::from_str(text).unwrap();
        let sections = table
            .iter()
            .filter_map(|(name, section)| Some((name, section.as_table()?)));
        sections
            .flat_map(|(name, section)| section.keys().map(move |key| format!("{name}.{key}")))
            .collect()
    };
    assert_eq!(settings(shown), settings(&printed(&Config::default())));
    let with_comments = shown.replace("\n# ", "\n");
    let everything = load(&with_comments).unwrap();
    assert!(everything.check().is_ok());
    let Server {
        grpc,
        spop,
        fastcgi,
        metrics,
        ..
    } = everything.server;
    assert!(grpc.is_some() && spop.is_some() && fastcgi.is_some() && metrics.is_some());
    assert!(everything.api.public_url.is_some());
    let notices = everything.notices;
    assert!(notices.webhook.is_some() && notices.webhook_secret_file.is_some());
    assert!(
        notices
            .mail
            .is_some_and(|mail| mail.user.is_some() && mail.password_file.is_some())
    );
}

#[test]
fn the_readme_s_routes_make_sense() {
    let blocks = in_the_readme();
    let routes: Vec<_> = blocks
        .iter()
        .filter(|block| block.contains("[[route]]"))
        .collect();
    assert!(!routes.is_empty());
    for block in routes {
        let examined = examine(block);
        assert!(examined.mistakes.is_empty(), "{block}");
        assert!(!examined.config.routes.is_empty());
    }
}

#[test]
fn what_is_written_is_what_is_used() {
    let config = load("[policy]\nidle_after = \"7d\"\ntokens_per_owner = 20\nisolation = \"warm\"").unwrap();
    assert_eq!(config.policy.parameters().idle_after, 7 * 86_400_000);
    assert_eq!(config.policy.isolation(), Isolation::Warm { max_calls: 10_000 });
}

#[test]
fn the_printed_configuration_can_be_read_again() {
    let text = toml::to_string(&Config::default()).unwrap();
    assert_eq!(toml::to_string(&load(&text).unwrap()).unwrap(), text);
}

#[test]
fn a_mistake_is_named_with_its_line() {
    let error = load("[policy]\nidle_afer = \"7d\"").unwrap_err().to_string();
    assert!(error.contains("idle_afer") && error.contains("line 2"), "{error}");
    let error = load("[policy]\nidle_after = \"soon\"").unwrap_err().to_string();
    assert!(error.contains("soon") && error.contains("line 2"), "{error}");
}

#[test]
fn a_configuration_that_was_never_in_a_file_is_checked_as_well() {
    let mut config = Config::default();
    assert!(config.check().is_ok() && config.server.check().is_ok());
    config.routes = vec![RouteConfig::default()];
    config.http.audience = String::new();
    let error = config.check().unwrap_err().to_string();
    assert!(
        error.contains("http.audience") && error.contains("1 more"),
        "{error}"
    );
    config.server.listen.set_ip([0, 0, 0, 0].into());
    assert!(config.server.check().is_err());
}

#[test]
fn where_it_listens_is_judged_by_who_listens() {
    let text = "[server]\nlisten = \"0.0.0.0:80\"\n";
    assert!(load(text).unwrap().server.check().is_err());
    assert_eq!(examine(text).mistakes.len(), 1);
}
