//! A component's configuration as the user wrote it, and what is left once it is checked.

use std::path::{Component, Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use super::error::{BoxError, Diagnostic, RegistryError};
use super::fields::{Findings, map};
use super::param::Param;
use crate::text::quoted;
use crate::yaml::{At, Key, Node, Value, suggestion};

/// What stands for the number of the source in the configuration of a hook.
const SOURCE: &str = "{source}";

/// The configuration of one component, not checked yet.
///
/// ```
/// use phasemeter::registry::Config;
///
/// let config: Config = serde_json::json!({"log_file": "phases.log"}).try_into()?;
/// # Ok::<(), phasemeter::registry::RegistryError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Config {
    file: String,
    at: At,
    items: Vec<(Key, Node)>,
    /// The number of the source that the component is for, and how many sources there are.
    source: Option<(usize, usize)>,
    /// Where its files go, whatever their paths say.
    below: Option<PathBuf>,
}

impl Default for Config {
    /// Nothing is configured: defaults apply.
    fn default() -> Self {
        Self { file: "config".into(), at: At::default(), items: Vec::new(), source: None, below: None }
    }
}

impl TryFrom<Json> for Config {
    type Error = RegistryError;

    fn try_from(json: Json) -> Result<Self, Self::Error> {
        let mut findings = Findings::of("config");
        let node = Node::from(json);
        match Self::from_node(&node, &mut findings) {
            Some(config) => Ok(config),
            None => Err(RegistryError::Invalid(findings.errors)),
        }
    }
}

impl Config {
    /// The map of a node of the file that the findings are of.
    pub(super) fn from_node(node: &Node, findings: &mut Findings) -> Option<Self> {
        let items = map(node, "`config`", findings)?.to_vec();
        Some(Self { file: findings.file.clone(), at: node.at, items, source: None, below: None })
    }

    /// No configuration, but a place for what is missing in it.
    pub(super) fn empty_at(file: &str, at: At) -> Self {
        Self { file: file.to_owned(), at, items: Vec::new(), source: None, below: None }
    }

    /// The configuration for one of several sources: `{source}` in any text becomes its number, and a parameter of
    /// type `path` without it is refused if there is more than one source, since two hooks would write to one file.
    #[must_use]
    pub fn for_source(mut self, number: usize, sources: usize) -> Self {
        self.source = Some((number, sources));
        self
    }

    /// The configuration with every parameter of type `path` below a directory: `/var/log/a.log` and `../var/log/a.log`
    /// are `var/log/a.log` there.
    pub(super) fn below(mut self, directory: &Path) -> Self {
        self.below = Some(directory.to_owned());
        self
    }

    /// Checks everything against the declared parameters; without a declaration, everything is let through.
    pub(super) fn check(&self, what: &str, params: Option<&[Param]>) -> Result<Params, Vec<Diagnostic>> {
        let mut findings = Findings::of(&self.file);
        let mut checked = serde_json::Map::new();
        if let Some(params) = params {
            self.refuse_unknown(what, params, &mut findings);
            for param in params {
                let Some(node) = self.value(what, param, &mut findings) else { continue };
                let value = self.substitute(node.to_json());
                let value = if param.kind.is_path() { self.moved(value, node.at, &mut findings) } else { value };
                checked.insert(param.name.clone(), value);
            }
        } else {
            checked.extend(self.items.iter().map(|(key, node)| (key.name.clone(), self.substitute(node.to_json()))));
        }
        if findings.errors.is_empty() { Ok(Params(checked)) } else { Err(findings.errors) }
    }

    fn refuse_unknown(&self, what: &str, params: &[Param], findings: &mut Findings) {
        let names: Vec<_> = params.iter().map(|param| param.name.as_str()).collect();
        for (key, _) in &self.items {
            if !names.contains(&key.name.as_str()) {
                let hint = match suggestion(&key.name, names.iter().copied()) {
                    none if none.is_empty() && names.is_empty() => "; it has none".into(),
                    none if none.is_empty() => format!("; it has {}", names.join(", ")),
                    hint => hint,
                };
                findings.error(key.at, format!("{} is no parameter of {what}{hint}", quoted(&key.name)));
            }
        }
    }

    /// The value of a parameter, given or by default; faults go to the findings.
    fn value(&self, what: &str, param: &Param, findings: &mut Findings) -> Option<Node> {
        let name = &param.name;
        let given = self.items.iter().find(|(key, _)| key.name == *name).map(|(_, node)| node.clone());
        let by_default = || param.default.clone().map(|default| Node { at: self.at, ..Node::from(default) });
        let Some(node) = given.or_else(by_default) else {
            if param.required {
                findings
                    .error(self.at, format!("`{name}` of {what} is missing: give it under `config` ({})", param.kind));
            }
            return None;
        };
        if let Err((at, message)) = param.check(&node) {
            findings.error(at, format!("{message}, in {what}"));
            return None;
        }
        if let (Value::Text(text), Some((_, 2..))) = (&node.value, self.source)
            && param.kind.is_path()
            && !text.contains(SOURCE)
        {
            findings.error(
                node.at,
                format!("`{name}` of {what} is one file for several sources: put `{SOURCE}` into it, for the source's number"),
            );
        }
        Some(node)
    }

    /// A path, below the directory if there is one.
    fn moved(&self, value: Json, at: At, findings: &mut Findings) -> Json {
        let (Some(directory), Json::String(path)) = (&self.below, &value) else { return value };
        let own = Path::new(path).components().filter(|part| matches!(part, Component::Normal(_)));
        let moved = directory.join(own.collect::<PathBuf>());
        let Some(moved) = moved.to_str() else {
            findings.error(at, format!("{} is no text: files cannot be written below it", directory.display()));
            return value;
        };
        moved.into()
    }

    fn substitute(&self, value: Json) -> Json {
        let Some((number, _)) = self.source else { return value };
        match value {
            Json::String(text) => text.replace(SOURCE, &number.to_string()).into(),
            Json::Array(items) => items.into_iter().map(|item| self.substitute(item)).collect(),
            Json::Object(items) => items.into_iter().map(|(key, value)| (key, self.substitute(value))).collect(),
            other => other,
        }
    }
}

/// The parameters of a component: checked, with the defaults of its manifest.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Params(serde_json::Map<String, Json>);

impl Params {
    pub(super) fn into_map(self) -> serde_json::Map<String, Json> {
        self.0
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.get(name)
    }

    /// The parameters as the component's own type.
    ///
    /// # Errors
    /// What the type does not take, for example a parameter that the manifest declares and the type does not have.
    pub fn deserialize<T: DeserializeOwned>(self) -> Result<T, BoxError> {
        Ok(serde_json::from_value(Json::Object(self.0))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::registry::param::ParamType;

    fn param(name: &str, kind: ParamType) -> Param {
        let description = String::new();
        Param { name: name.into(), kind, default: None, required: false, min: None, max: None, description }
    }

    fn config(text: &str) -> Config {
        let node: Node = crate::yaml::parse("r", text).unwrap();
        Config::from_node(&node, &mut Findings::of("r")).unwrap()
    }

    fn errors(config: &Config, params: &[Param]) -> Vec<String> {
        config.check("c", Some(params)).unwrap_err().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn every_fault_is_told_at_once() {
        let mut needed = param("needed", ParamType::Int);
        needed.required = true;
        let params = [param("verbose", ParamType::Bool), needed];
        assert_eq!(
            errors(&config("verbos: true\nverbose: 1\nnonsense: 2"), &params),
            [
                "r:1:1: \"verbos\" is no parameter of c: did you mean `verbose`?",
                "r:3:1: \"nonsense\" is no parameter of c; it has verbose, needed",
                "r:2:10: `verbose` has to be of type bool, not the number 1, in c",
                "r:1:1: `needed` of c is missing: give it under `config` (int)",
            ]
        );
        assert_eq!(errors(&config("a: 1"), &[]), ["r:1:1: \"a\" is no parameter of c; it has none"]);
    }

    #[test]
    fn the_number_of_the_source_is_put_in_everywhere() {
        let mut file = param("file", ParamType::Path);
        file.default = Some("log-{source}".into());
        let params = [file, param("command", ParamType::Any)];
        let checked = config("command: [echo, {a: 'x{source}y{source}'}]").for_source(12, 20).check("c", Some(&params));
        let json = serde_json::json!({"file": "log-12", "command": ["echo", {"a": "x12y12"}]});
        assert_eq!(Json::Object(checked.unwrap().0), json);
        let kept = config("command: '{source}'").check("c", Some(&params)).unwrap();
        assert_eq!(kept.get("command"), Some(&"{source}".into()));
    }

    #[test]
    fn one_file_for_several_sources_is_refused() {
        let params = [param("file", ParamType::OneOf(vec![ParamType::Path, ParamType::Null]))];
        let config = config("file: a.log");
        assert!(config.clone().for_source(0, 1).check("c", Some(&params)).is_ok());
        let errors = errors(&config.for_source(0, 2), &params);
        assert!(
            errors[0].starts_with("r:1:7: `file` of c is one file for several sources: put `{source}`"),
            "{errors:?}"
        );
    }

    #[test]
    fn a_source_without_quotes_gets_the_hint() {
        assert_eq!(
            errors(&config("file: {source}"), &[param("file", ParamType::Path)]),
            ["r:1:7: `file` has to be of type path, not a map; if text is meant, braces need quotes: '{source}', in c"]
        );
    }

    #[test]
    fn a_configuration_is_a_map() {
        assert!(Config::try_from(serde_json::json!([1])).unwrap_err().to_string().contains("has to be a map"));
        let config = Config::try_from(serde_json::json!({"a": {"b": [1, 2.5, null, true]}})).unwrap();
        let all = config.check("c", None).unwrap();
        assert_eq!(all.get("a"), Some(&serde_json::json!({"b": [1, 2.5, null, true]})));
        assert!(all.deserialize::<std::collections::BTreeMap<String, u8>>().is_err());
    }
}
