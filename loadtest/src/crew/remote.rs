use std::{env::current_exe, process::Stdio, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines, stdin, stdout},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

use super::{Answer, Hand, Order};
use crate::{fleet::Cast, progress::Progress};

/// How long a hand may take to bring its clients in.
const GATHER: Duration = Duration::from_mins(5);

/// How long it may take to answer what is not said to take long.
const ANSWER: Duration = Duration::from_mins(1);

/// A hand in a process of its own: one line of JSON for each order, one for each answer. It ends with its stdin, or when this process
/// is gone, however it went.
#[derive(Debug)]
pub(super) struct Remote {
    // Ends with this value.
    _child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Remote {
    /// Starts one for these rooms.
    pub(super) async fn start(cast: &Cast) -> Result<Self> {
        let this = current_exe().context("where is this program?")?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "TERM"])
            .arg(this)
            .arg("hand")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("cannot start this program (with setpriv of util-linux)")?;
        let mut orders = child.stdin.take().context("no stdin")?;
        let answers = BufReader::new(child.stdout.take().context("no stdout")?).lines();
        orders.write_all(line(cast)?.as_bytes()).await?;
        Ok(Self { _child: child, orders, answers })
    }

    /// Has it do something.
    pub(super) async fn obey(&mut self, order: Order) -> Result<Answer> {
        let ask = async {
            self.orders.write_all(line(&order)?.as_bytes()).await?;
            let answer = self.answers.next_line().await?.context("a generator has ended")?;
            anyhow::Ok(serde_json::from_str(&answer)?)
        };
        let patience = patience(order);
        match timeout(patience, ask).await.map_err(|_| anyhow!("no answer of a generator within {patience:?}"))?? {
            Answer::Failed(why) => bail!("{why}"),
            answer => Ok(answer),
        }
    }
}

/// A round may take longer than it is to: each room has its turn, and what was sent has its time.
fn patience(order: Order) -> Duration {
    match order {
        Order::Gather { .. } => GATHER,
        Order::Round { seconds, .. } => ANSWER + Duration::from_secs(seconds.into()) * 4,
        Order::Scatter | Order::Complaints => ANSWER,
    }
}

fn line(what: &impl serde::Serialize) -> Result<String> {
    Ok(serde_json::to_string(what)? + "\n")
}

/// `loadtest hand`: the other side. It is told its rooms first.
pub(crate) async fn serve() -> Result<()> {
    let progress = Progress::silent();
    let (mut orders, mut answers) = (BufReader::new(stdin()).lines(), stdout());
    let Some(cast) = orders.next_line().await? else { return Ok(()) };
    let mut hand = Hand::new(serde_json::from_str(&cast)?);
    while let Some(order) = orders.next_line().await? {
        let done = hand.obey(serde_json::from_str(&order)?, &progress).await;
        let answer = done.unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
        answers.write_all(line(&answer)?.as_bytes()).await?;
        answers.flush().await?;
    }
    Ok(())
}
