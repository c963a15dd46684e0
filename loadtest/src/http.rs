//! GET requests to the HTTP endpoints of a server.

use std::{net::SocketAddr, time::Duration};

use anyhow::{Context, Result};
use axum::{
    body::{Body, to_bytes},
    http::{Request, StatusCode, header},
};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer at most.
const LARGEST: usize = 4 * 1024 * 1024;

/// Status and body of the answer to GET.
pub(crate) async fn get(address: SocketAddr, path: &str) -> Result<(StatusCode, String)> {
    let request =
        Request::get(format!("http://{address}{path}")).header(header::ACCEPT, "text/plain").body(Body::empty())?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let answer = async {
        let response = client.request(request).await?;
        let status = response.status();
        let body = to_bytes(Body::new(response.into_body()), LARGEST).await?;
        anyhow::Ok((status, String::from_utf8(body.to_vec())?))
    };
    timeout(PATIENCE, answer).await.context("no answer in time")?.with_context(|| format!("cannot get {path}"))
}

/// The sum of a metric over all its labels.
pub(crate) fn metric(text: &str, name: &str) -> Option<f64> {
    let values = text.lines().filter_map(|line| {
        let rest = line.strip_prefix(name)?;
        let fits = rest.starts_with([' ', '{']);
        fits.then(|| rest.rsplit_once(' ')?.1.parse::<f64>().ok())?
    });
    values.reduce(|sum, value| sum + value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_counter_is_found_by_its_whole_name_and_summed_over_its_labels() {
        let text = "# TYPE a counter\na_total{node=\"1\"} 2\na_total{node=\"2\"} 3\na_total_more 9\nb_total 1.5\n";
        assert_eq!(metric(text, "a_total"), Some(5.0));
        assert_eq!(metric(text, "b_total"), Some(1.5));
        assert_eq!(metric(text, "c_total"), None);
    }
}
