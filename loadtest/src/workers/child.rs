use std::{
    env::current_exe,
    process::Stdio,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, stdin, stdout},
    process::{Child as Process, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use serde::{Deserialize, Serialize};

use crate::{
    load::{Generator, Outcome, Plan, Round},
    measure::Process as Measured,
};

/// Limit for a worker to join its clients.
const JOIN: Duration = Duration::from_mins(15);

/// Limit for any other answer, beyond the time of a round itself.
const ANSWER: Duration = Duration::from_mins(1);

/// What a worker is asked to do.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) enum Request {
    /// Join all clients. Another generation joins rooms with other names.
    Join { generation: u32 },
    /// Send the worker's share of a round, which begins so many microseconds after 1970: the same moment for all workers.
    Round { at_micros: u64, round: Round },
    /// Let one member of each room call, within so many seconds: every member is to hear it.
    CallRoll { number: u64, seconds: u32 },
    /// Break all connections.
    Disconnect,
    /// Report the errors since the last round.
    Errors,
}

/// What came of it, or why nothing did.
type Answer = Result<Outcome, String>;

/// A worker in a process of its own: one line of JSON for each request, one for each answer. It ends with its stdin, or with this
/// process.
#[derive(Debug)]
pub(super) struct Child {
    // The process ends with this value.
    process: Process,
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
        Ok(Self { process, requests, answers })
    }

    /// The process, to measure.
    pub(super) fn measured(&self) -> Result<Measured> {
        Measured::new(self.process.id().context("it has already ended")?)
    }

    pub(super) async fn answer(&mut self, request: Request) -> Result<Outcome> {
        let ask = async {
            self.requests.write_all(line(&request)?.as_bytes()).await?;
            let answer = self.answers.next_line().await?.context("a worker process has ended")?;
            anyhow::Ok(serde_json::from_str::<Answer>(&answer)?)
        };
        let limit = match request {
            Request::Join { .. } => JOIN,
            // A round may last longer than it was asked to, because each room gets its turn.
            Request::Round { round, .. } => ANSWER * 4 + Duration::from_secs(round.seconds.into()) * 4,
            Request::CallRoll { seconds, .. } => ANSWER + Duration::from_secs(seconds.into()) * 4,
            Request::Disconnect | Request::Errors => ANSWER,
        };
        let answer = timeout(limit, ask).await.map_err(|_| anyhow!("a worker did not answer within {limit:?}"))??;
        answer.map_err(|why| anyhow!("{why}"))
    }
}

fn line(value: &impl Serialize) -> Result<String> {
    Ok(serde_json::to_string(value)? + "\n")
}

/// `loadtest worker`: the process of a worker. The first line on stdin is its plan.
pub(crate) async fn serve() -> Result<()> {
    let (mut requests, mut answers) = (BufReader::new(stdin()).lines(), stdout());
    let Some(plan) = requests.next_line().await? else { return Ok(()) };
    let (plan, mut generator) = (serde_json::from_str(&plan)?, None);
    while let Some(request) = requests.next_line().await? {
        let done = answer(serde_json::from_str(&request)?, &plan, &mut generator).await;
        let answer: Answer = done.map_err(|error| format!("{error:#}"));
        answers.write_all(line(&answer)?.as_bytes()).await?;
        answers.flush().await?;
    }
    Ok(())
}

async fn answer(request: Request, plan: &Plan, generator: &mut Option<Generator>) -> Result<Outcome> {
    let mut outcome = Outcome::new()?;
    match (request, generator.as_mut()) {
        (Request::Disconnect, _) => *generator = None,
        (Request::Join { generation }, _) => {
            // Clients that are still connected leave first.
            *generator = None;
            let plan = Plan { name: format!("{}-{generation}", plan.name), ..plan.clone() };
            let joined = Generator::join(plan).await?;
            outcome.returns = joined.take_returns()?;
            *generator = Some(joined);
        }
        (Request::Round { at_micros, round }, Some(joined)) => outcome = joined.round(moment(at_micros), round).await?,
        (Request::CallRoll { number, seconds }, Some(joined)) => outcome = joined.call_roll(number, seconds).await?,
        (Request::Errors, Some(joined)) => (outcome.errors, outcome.first_error) = joined.take_errors(),
        (Request::Round { .. } | Request::CallRoll { .. } | Request::Errors, None) => bail!("no clients have joined"),
    }
    Ok(outcome)
}

/// A moment of the system clock on the monotonic clock of this process.
fn moment(at_micros: u64) -> Instant {
    let ahead = (UNIX_EPOCH + Duration::from_micros(at_micros)).duration_since(SystemTime::now());
    Instant::now() + ahead.unwrap_or_default()
}
