//! Which handler a path means: pure. Segments are percent-decoded one by one, before anything is compared.

use axum::http::Method;

/// An instance as a path names it: the region is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Names {
    /// The project.
    pub(super) project: String,
    /// The instance's last part.
    pub(super) instance: String,
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// `POST /token`
    Token,
    /// `GET .../connectSettings`
    ConnectSettings(Names),
    /// `POST ...:generateEphemeralCert`
    EphemeralCert(Names),
    /// `GET .../instances/I`
    Instance(Names),
    /// `GET /csql/v1/.../agentSettings`
    AgentSettings(Names),
    /// `POST /csql/v1/...:generateServerCert`
    ServerCert(Names),
    /// `GET /openapi.json`
    OpenApi,
    /// `GET /livez`
    Livez,
    /// `GET /readyz`
    Readyz,
    /// `GET /metrics`
    Metrics,
}

/// Why a path has no handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    /// It cannot be decoded.
    Undecodable,
    /// There is nothing there.
    Nothing,
    /// There is something, for another method.
    Method(&'static str),
}

impl Route {
    /// For metrics and logs: one of a few words.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::ConnectSettings(_) => "connectSettings",
            Self::EphemeralCert(_) => "generateEphemeralCert",
            Self::Instance(_) => "instance",
            Self::AgentSettings(_) => "agentSettings",
            Self::ServerCert(_) => "generateServerCert",
            Self::OpenApi => "openapi",
            Self::Livez => "livez",
            Self::Readyz => "readyz",
            Self::Metrics => "metrics",
        }
    }
}

/// Finds the handler of a request.
pub(super) fn find(method: &Method, path: &str) -> Result<Route, NoRoute> {
    // Python's connector writes `//sql/...` when its endpoint ends in a slash.
    let segments: Option<Vec<String>> = path
        .split('/')
        .filter(|part| !part.is_empty())
        .map(decode)
        .collect();
    let segments = segments.ok_or(NoRoute::Undecodable)?;
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let (wanted, route) = match segments.as_slice() {
        ["token"] => ("POST", Route::Token),
        ["openapi.json"] => ("GET", Route::OpenApi),
        ["livez"] => ("GET", Route::Livez),
        ["readyz"] => ("GET", Route::Readyz),
        ["metrics"] => ("GET", Route::Metrics),
        ["sql", "v1beta4", rest @ ..] | ["v1", rest @ ..] => google(rest)?,
        ["csql", "v1", rest @ ..] => ours(rest)?,
        _ => return Err(NoRoute::Nothing),
    };
    if method.as_str() == wanted {
        Ok(route)
    } else {
        Err(NoRoute::Method(wanted))
    }
}

fn google(segments: &[&str]) -> Result<(&'static str, Route), NoRoute> {
    match segments {
        ["projects", project, "instances", instance] => {
            Ok(match instance.strip_suffix(":generateEphemeralCert") {
                Some(instance) => ("POST", Route::EphemeralCert(Names::new(project, instance))),
                None => ("GET", Route::Instance(Names::new(project, instance))),
            })
        }
        [
            "projects",
            project,
            "instances",
            instance,
            "connectSettings",
        ] => Ok(("GET", Route::ConnectSettings(Names::new(project, instance)))),
        _ => Err(NoRoute::Nothing),
    }
}

fn ours(segments: &[&str]) -> Result<(&'static str, Route), NoRoute> {
    match segments {
        ["projects", project, "instances", instance] => {
            let instance = instance
                .strip_suffix(":generateServerCert")
                .ok_or(NoRoute::Nothing)?;
            Ok(("POST", Route::ServerCert(Names::new(project, instance))))
        }
        ["projects", project, "instances", instance, "agentSettings"] => {
            Ok(("GET", Route::AgentSettings(Names::new(project, instance))))
        }
        _ => Err(NoRoute::Nothing),
    }
}

impl Names {
    fn new(project: &str, instance: &str) -> Self {
        Self {
            project: project.to_owned(),
            instance: instance.to_owned(),
        }
    }
}

/// Percent-decodes a segment or a query's value; `None` when that gives no text, or one with control characters.
pub(super) fn decode(segment: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let (digits, after) = rest.split_first_chunk::<2>()?;
        if !digits.iter().all(u8::is_ascii_hexdigit) {
            return None;
        }
        bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
        rest = after;
    }
    let text = String::from_utf8(bytes).ok()?;
    (!text.chars().any(char::is_control)).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(path: &str) -> Result<Route, NoRoute> {
        find(&Method::GET, path)
    }

    fn post(path: &str) -> Result<Route, NoRoute> {
        find(&Method::POST, path)
    }

    #[test]
    fn both_flavours_of_googles_paths_are_found() {
        let names = Names::new("p", "i");
        for base in ["/sql/v1beta4", "/v1"] {
            let instance = format!("{base}/projects/p/instances/i");
            assert_eq!(get(&instance), Ok(Route::Instance(names.clone())));
            let settings = format!("{instance}/connectSettings");
            assert_eq!(get(&settings), Ok(Route::ConnectSettings(names.clone())));
            let issue = format!("{instance}:generateEphemeralCert");
            assert_eq!(post(&issue), Ok(Route::EphemeralCert(names.clone())));
        }
    }

    #[test]
    fn segments_are_decoded_before_they_are_compared() {
        let names = Names::new("example.com:p", "i");
        let found = get("/sql/v1beta4/projects/example.com%3Ap/instances/i/connect%53ettings");
        assert_eq!(found, Ok(Route::ConnectSettings(names.clone())));
        let found =
            post("//sql//v1beta4/projects/example.com:p/instances/i%3agenerateEphemeralCert");
        assert_eq!(found, Ok(Route::EphemeralCert(names)));
    }

    #[test]
    fn an_encoded_slash_stays_within_its_segment() {
        let found = get("/v1/projects/p/instances/..%2Fi").unwrap();
        assert_eq!(found, Route::Instance(Names::new("p", "../i")));
    }

    #[test]
    fn what_does_not_decode_is_refused() {
        for bad in ["%", "%2", "%zz", "%00", "%0a", "%ff", "%+1", "%c3%28"] {
            assert_eq!(
                get(&format!("/v1/projects/p/instances/{bad}")),
                Err(NoRoute::Undecodable)
            );
        }
    }

    #[test]
    fn other_paths_and_other_methods_have_no_handler() {
        for path in [
            "/",
            "/v1",
            "/token/x",
            "/v1/projects/p",
            "/csql/v1/projects/p/instances/i",
        ] {
            assert_eq!(get(path), Err(NoRoute::Nothing), "{path}");
        }
        assert_eq!(get("/token"), Err(NoRoute::Method("POST")));
        assert_eq!(
            post("/v1/projects/p/instances/i"),
            Err(NoRoute::Method("GET"))
        );
        assert_eq!(find(&Method::DELETE, "/livez"), Err(NoRoute::Method("GET")));
    }
}
