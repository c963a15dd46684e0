use std::{env::current_exe, process::Stdio, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, stdin, stdout},
    process::{Child as Process, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{Answer, Local, Request};
use crate::{load::Plan, progress::Progress};

/// Limit for a worker to join its clients.
const JOIN: Duration = Duration::from_mins(5);

/// Limit for any other answer, beyond the time of a round itself.
const ANSWER: Duration = Duration::from_mins(1);

/// A worker in a process of its own: one line of JSON for each request, one for each answer. It ends with its stdin, or with this
/// process.
#[derive(Debug)]
pub(super) struct Child {
    // The process ends with this value.
    _process: Process,
    requests: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Child {
    pub(super) async fn start(plan: &Plan) -> Result<Self> {
        let mut process = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(current_exe().context("cannot find the path of this program")?)
            .arg("worker")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a worker: is `setpriv` (util-linux) installed?")?;
        let mut requests = process.stdin.take().context("no stdin")?;
        let answers = BufReader::new(process.stdout.take().context("no stdout")?).lines();
        requests.write_all(line(plan)?.as_bytes()).await?;
        Ok(Self { _process: process, requests, answers })
    }

    pub(super) async fn answer(&mut self, request: Request) -> Result<Answer> {
        let ask = async {
            self.requests.write_all(line(&request)?.as_bytes()).await?;
            let answer = self.answers.next_line().await?.context("a worker process has ended")?;
            anyhow::Ok(serde_json::from_str(&answer)?)
        };
        let limit = match request {
            Request::Join { .. } => JOIN,
            // A round may last longer than it was asked to, because each room gets its turn.
            Request::Round { seconds, .. } => ANSWER + Duration::from_secs(seconds.into()) * 4,
            Request::Disconnect | Request::Errors => ANSWER,
        };
        match timeout(limit, ask).await.map_err(|_| anyhow!("a worker did not answer within {limit:?}"))?? {
            Answer::Failed(why) => bail!("{why}"),
            answer => Ok(answer),
        }
    }
}

fn line(value: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

/// `loadtest worker`: the process of a worker. The first line on stdin is its plan.
pub(crate) async fn serve() -> Result<()> {
    let progress = Progress::silent();
    let (mut requests, mut answers) = (BufReader::new(stdin()).lines(), stdout());
    let Some(plan) = requests.next_line().await? else { return Ok(()) };
    let mut local = Local::new(serde_json::from_str(&plan)?);
    while let Some(request) = requests.next_line().await? {
        let done = local.answer(serde_json::from_str(&request)?, &progress).await;
        let answer = done.unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
        answers.write_all(line(&answer)?.as_bytes()).await?;
        answers.flush().await?;
    }
    Ok(())
}
