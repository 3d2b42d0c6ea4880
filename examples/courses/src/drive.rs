//! A browser without a screen: walks the pilot by cookies and forms, as a person would.
//!
//! For whoever must see the pilot from outside: its tests, `provost dev --check`. It follows
//! redirects itself (pilot and issuer share one cookie jar, since cookies do not tell ports apart),
//! reads forms from the HTML it was sent, and runs no scripts, because there are none.

use std::time::Duration;

use reqwest::{StatusCode, Url, header};

/// What went wrong in the browser itself; a page with an error status is a page.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The server did not answer.
    #[error("no answer")]
    Http(#[from] reqwest::Error),
    /// An address is not one.
    #[error("address not usable: {0}")]
    Address(String),
    /// The page has no such form.
    #[error("no form {id} on {url} (status {status})")]
    NoForm {
        /// The form asked for.
        id: String,
        /// The page it was looked for on.
        url: String,
        /// That page's status.
        status: u16,
    },
    /// More redirects than any walk of ours has.
    #[error("redirected more than {REDIRECTS_MAX} times")]
    Circles,
}

/// One browser: one cookie jar, one base address.
#[derive(Debug, Clone)]
pub struct Browser {
    http: reqwest::Client,
    base: Url,
}

/// A page as it was sent.
#[derive(Debug, Clone)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// Where the redirects led.
    pub url: Url,
    /// The HTML.
    pub body: String,
    /// The correlation id of the request that was answered with this page.
    pub correlation_id: Option<String>,
}

/// A form of a page: where it goes and what it holds before anybody fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    /// Where it is sent, as written.
    pub action: String,
    /// Its hidden and prefilled fields.
    pub fields: Vec<(String, String)>,
}

impl Browser {
    /// Opens a browser on a site, with an empty cookie jar.
    ///
    /// # Errors
    /// When `base` is not an address.
    pub fn open(base: &str) -> Result<Self, DriveError> {
        let http = reqwest::Client::builder()
            .cookie_store(true)
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PAGE_MAX)
            .build()?;
        let base = Url::parse(base).map_err(|_| DriveError::Address(base.to_owned()))?;
        Ok(Self { http, base })
    }

    /// Opens a browser and logs in through the issuer's form; answers the page that led to.
    ///
    /// # Errors
    /// When a page on the way is not there; a refused login is a page like any other.
    pub async fn login(
        base: &str,
        username: &str,
        password: &str,
    ) -> Result<(Self, Page), DriveError> {
        let browser = Self::open(base)?;
        let page = browser.log_in(username, password).await?;
        Ok((browser, page))
    }

    /// Logs in, or again as somebody else.
    ///
    /// # Errors
    /// When the login form is not shown.
    pub async fn log_in(&self, username: &str, password: &str) -> Result<Page, DriveError> {
        let form = self.get("/login").await?;
        self.submit(
            &form,
            "login",
            &[("username", username), ("password", password)],
        )
        .await
    }

    /// Gets a page, following redirects.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn get(&self, path: &str) -> Result<Page, DriveError> {
        let url = join(&self.base, path)?;
        self.follow(self.http.get(url.clone()), url).await
    }

    /// Fills and sends the form `id` of a page, following redirects.
    ///
    /// # Errors
    /// When the page has no such form, or the server does not answer.
    pub async fn submit(
        &self,
        page: &Page,
        id: &str,
        filled: &[(&str, &str)],
    ) -> Result<Page, DriveError> {
        let form = page.form(id).ok_or_else(|| DriveError::NoForm {
            id: id.to_owned(),
            url: page.url.to_string(),
            status: page.status,
        })?;
        let mut fields = form.fields;
        fields.retain(|(name, _)| !filled.iter().any(|(other, _)| other == name));
        fields.extend(
            filled
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let url = join(&page.url, &form.action)?;
        self.follow(self.http.post(url.clone()).form(&fields), url)
            .await
    }

    /// Sends one request with this browser's cookies, following nothing; for ranges and refusals.
    ///
    /// # Errors
    /// When the server does not answer.
    pub async fn raw(
        &self,
        method: reqwest::Method,
        path: &str,
        headers: &[(&str, &str)],
    ) -> Result<reqwest::Response, DriveError> {
        let mut request = self.http.request(method, join(&self.base, path)?);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.send().await?)
    }

    async fn follow(
        &self,
        first: reqwest::RequestBuilder,
        mut url: Url,
    ) -> Result<Page, DriveError> {
        let mut answer = first.send().await?;
        for _ in 0..REDIRECTS_MAX {
            let redirect = matches!(answer.status(), StatusCode::FOUND | StatusCode::SEE_OTHER);
            let location = answer.headers().get(header::LOCATION).filter(|_| redirect);
            let Some(location) = location.and_then(|location| location.to_str().ok()) else {
                return page(answer, url).await;
            };
            url = join(&url, location)?;
            answer = self.http.get(url.clone()).send().await?;
        }
        Err(DriveError::Circles)
    }
}

impl Page {
    /// Reads the form with an id.
    #[must_use]
    pub fn form(&self, id: &str) -> Option<Form> {
        self.body
            .split("<form")
            .skip(1)
            .filter_map(|rest| rest.split_once("</form>").map(|(form, _)| form))
            .find_map(|form| {
                let (head, inside) = form.split_once('>')?;
                (attribute(head, "id")? == id).then(|| Form {
                    action: attribute(head, "action").unwrap_or_default(),
                    fields: fields(inside),
                })
            })
    }

    /// The text of the first element with an id, when it holds text only.
    #[must_use]
    pub fn text(&self, id: &str) -> Option<String> {
        let (_, after) = self.body.split_once(&format!("id=\"{id}\""))?;
        let (_, inside) = after.split_once('>')?;
        inside
            .split_once('<')
            .map(|(text, _)| unescape(text.trim()))
    }
}

async fn page(answer: reqwest::Response, url: Url) -> Result<Page, DriveError> {
    let correlation_id = answer.headers().get("x-correlation-id");
    let correlation_id = correlation_id
        .and_then(|id| id.to_str().ok())
        .map(str::to_owned);
    Ok(Page {
        status: answer.status().as_u16(),
        url,
        body: answer.text().await?,
        correlation_id,
    })
}

fn fields(html: &str) -> Vec<(String, String)> {
    html.split("<input")
        .skip(1)
        .filter_map(|rest| rest.split_once('>').map(|(tag, _)| tag))
        .filter(|tag| attribute(tag, "type").as_deref() != Some("radio"))
        .filter_map(|tag| {
            Some((
                attribute(tag, "name")?,
                attribute(tag, "value").unwrap_or_default(),
            ))
        })
        .collect()
}

fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split_once('"').map(|(value, _)| unescape(value))
}

fn unescape(text: &str) -> String {
    text.replace("&#60;", "<")
        .replace("&#62;", ">")
        .replace("&#34;", "\"")
        .replace("&#39;", "'")
        .replace("&#38;", "&")
}

fn join(base: &Url, path: &str) -> Result<Url, DriveError> {
    base.join(path)
        .map_err(|_| DriveError::Address(path.to_owned()))
}

/// Longer than any page of the pilot may take.
const PAGE_MAX: Duration = Duration::from_secs(40);
/// A login takes four.
const REDIRECTS_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_read_with_its_hidden_fields_and_without_its_choices() {
        let page = Page {
            status: 200,
            url: Url::parse("http://127.0.0.1/").unwrap(),
            body: r#"<form id="a" action="/a"></form><form id="b" method="post" action="/b?x=1&#38;y=2">
                <input type="hidden" name="csrf" value="t"><input type="radio" name="q0" value="1">
                <input name="who"></form><dd id="reason">NO &#60;WAY</dd>"#
                .to_owned(),
            correlation_id: None,
        };
        let form = page.form("b").unwrap();
        assert_eq!(form.action, "/b?x=1&y=2");
        let field = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(form.fields, vec![field("csrf", "t"), field("who", "")]);
        assert_eq!(page.text("reason").unwrap(), "NO <WAY");
        assert!(page.form("c").is_none());
    }
}
