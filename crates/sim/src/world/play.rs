use std::{
    cell::RefCell,
    sync::{Arc, OnceLock, mpsc::RecvTimeoutError},
    time::Duration,
};

use clap::Parser;
use tandem::config::Config;

use super::world::World;
use crate::{
    chance::sow,
    plan::Plan,
    record::{Entered, Event},
};

/// The longest that a story may take by the clock on the wall. Each takes less than a second; in one where a node spins, virtual time stands
/// still.
const STUCK: Duration = Duration::from_secs(120);
/// The settings of all nodes: sockets are pinged often, so that a story need not wait for long, and a flood is one with few frames.
const SETTINGS: [&str; 11] = [
    "sim",
    "--ping-interval-seconds",
    "10",
    "--ping-timeout-seconds",
    "8",
    "--messages-per-second",
    "20",
    "--message-burst",
    "60",
    "--outbox-bytes",
    "524288",
];

thread_local! {
    /// The panics of a story. Most are caught by the task in which they happen.
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    config: Config,
}

/// Plays a story on a thread of its own, so that nothing is left of an earlier story.
pub fn play(plan: &Plan) -> Vec<Entered> {
    static CONFIG: OnceLock<Arc<Config>> = OnceLock::new();
    let config = CONFIG.get_or_init(|| {
        std::panic::set_hook(Box::new(|panic| {
            eprintln!("{panic}");
            PANICS.with_borrow_mut(|panics| panics.push(panic.to_string()));
        }));
        let config = Arc::new(Settings::parse_from(SETTINGS).config);
        // What a process makes once draws its hash keys in the first story, which shifts the keys of the other tables of that story. So
        // one story is played first and thrown away.
        play_with(&Plan::draw(0), &config);
        config
    });
    play_with(plan, config)
}

fn play_with(plan: &Plan, config: &Arc<Config>) -> Vec<Entered> {
    let (seed, plan, config) = (plan.seed, plan.clone(), Arc::clone(config));
    let (over, is_over) = std::sync::mpsc::channel::<()>();
    let story = std::thread::Builder::new().name(format!("story {seed}")).spawn(move || {
        // This is dropped when the story ends, in whatever way.
        let _over = over;
        sow(plan.seed);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let mut events = runtime.block_on(World::run(plan, config));
        drop(runtime);
        let at = events.last().map_or(0, |last| last.at);
        let panics = PANICS.take().into_iter().map(|what| Entered { at, event: Event::Panic { what } });
        // The end of the story stays the last event.
        let last = events.len().saturating_sub(1);
        events.splice(last..last, panics);
        events
    });
    let silent = is_over.recv_timeout(STUCK);
    assert_ne!(silent, Err(RecvTimeoutError::Timeout), "story {seed} does not end: something runs without waiting");
    story.unwrap().join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}
