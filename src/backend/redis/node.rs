use std::{
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::{
    answer::corrupt,
    codec::{CodecError, Fields, Stray, UNREADABLE, decode_room, decode_update, raw_point, split_update},
    link::Link,
    probe::Probes,
    quota::Quota,
    retained::{Retained, StreamId},
    signal::{STRAYS, Scripts},
};
use crate::{
    backend::{Backend, BackendError, Commit, Delivery, Due, Faults, Inbox, Losses, Point, Proposal, Retention, Sink},
    clock::Millis,
    config::RedisConfig,
    id::{ConnId, NodeId, RoomId, UserId},
    protocol::Frame,
    room::{Room, Update},
    shared::{Connector, Layout, SharedError},
    telemetry::Metrics,
};

/// How long a short code's key is kept at the least, in ms: whether a code still holds is said in it.
const CODE_LIFE: Millis = 60_000;

/// What `commit.lua` says when no more entries of the ledger may wait.
const FULL: &str = "full";

/// One node's view of the state in Redis.
pub struct RedisNode {
    pub(super) name: NodeId,
    /// Tells this process from another of the same name.
    pub(super) process: String,
    pub(super) layout: Layout,
    pub(super) connector: Connector,
    pub(super) cluster: bool,
    pub(super) timeout: Duration,
    /// How often a link is probed; never if zero.
    pub(super) probe: Duration,
    pub(super) lease: Duration,
    pub(super) links: Vec<Arc<Link>>,
    /// The channel of this node.
    pub(super) channel: String,
    pub(super) sink: OnceLock<Arc<dyn Sink>>,
    pub(super) scripts: Scripts,
    /// None: no ledger is kept.
    pub(super) retained: Option<Retained>,
    pub(super) stream_max: usize,
    pub(super) quota: Quota,
    pub(super) metrics: Arc<Metrics>,
    pub(super) faults: Arc<Faults>,
    pub(super) losses: Losses,
    pub(super) retention: Retention,
    pub(super) strays: mpsc::Sender<Stray>,
    pub(super) probes: Probes,
    waiting_strays: std::sync::Mutex<Option<mpsc::Receiver<Stray>>>,
    max_rooms: usize,
}

/// What a [`RedisNode`] is made of.
#[allow(missing_docs, reason = "each is its own name")]
#[derive(Debug)]
pub struct RedisParts<'a> {
    pub name: NodeId,
    pub config: &'a RedisConfig,
    pub max_rooms: usize,
    pub retention: Retention,
    /// Whether entries are appended for a worker to put into the ledger.
    pub ledger: bool,
    pub metrics: Arc<Metrics>,
}

/// Why a node cannot take part in a deployment.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings lead nowhere.
    #[error(transparent)]
    Shared(#[from] SharedError),
    /// Redis could not be asked.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// Two processes have one name: the newer one keeps it.
    #[error("another process has taken this node's name: give each its own NODE_ID")]
    NameTaken,
    /// The deployment has other settings than this node.
    #[error("the nodes of this deployment have {0}; REDIS_PREFIX keeps deployments apart")]
    Mismatch(&'static str),
}

impl std::fmt::Debug for RedisNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisNode").field("name", &self.name).finish_non_exhaustive()
    }
}

impl RedisNode {
    /// Connects to nothing yet: [`RedisNode::run`] does.
    pub fn new(parts: RedisParts<'_>) -> Result<Arc<Self>, SharedError> {
        let RedisParts { name, config, max_rooms, retention, ledger, metrics } = parts;
        let connector = Connector::new(config)?;
        let layout = Layout::new(&config.redis_prefix, config.redis_partitions).on(connector.db());
        let cluster = config.redis_mode == crate::config::RedisMode::Cluster;
        let faults = Arc::new(Faults::new(Arc::clone(&metrics)));
        let link = |number| Arc::new(Link::new(number, Arc::clone(&faults)));
        let losses = Losses::new(Arc::clone(&metrics));
        let (strays, waiting_strays) = mpsc::channel(STRAYS);
        Ok(Arc::new(Self {
            channel: layout.node(&name),
            links: (0..usize::from(config.redis_connections)).map(link).collect(),
            retained: ledger.then(|| Retained::new(layout.partitions())),
            name,
            process: uuid::Uuid::new_v4().to_string(),
            layout,
            connector,
            cluster,
            timeout: config.redis_timeout,
            probe: config.redis_probe,
            lease: config.lease,
            sink: OnceLock::new(),
            scripts: Scripts::default(),
            stream_max: config.ledger_stream_max,
            quota: Quota::new(config.ledger_stream_bytes, config.redis_partitions),
            metrics,
            faults,
            losses,
            retention,
            strays,
            probes: Probes::default(),
            waiting_strays: std::sync::Mutex::new(Some(waiting_strays)),
            max_rooms,
        }))
    }

    /// Keeps the connections, for ever. To be run once.
    pub async fn run(self: Arc<Self>) {
        let strays = self.waiting_strays.lock().ok().and_then(|mut waiting| waiting.take());
        let links = self.links.iter().map(|link| self.keep_link(link));
        let strays = async {
            if let Some(strays) = strays {
                self.send_strays(strays).await;
            }
        };
        tokio::join!(futures_util::future::join_all(links), strays);
    }

    /// Compares what all nodes of a deployment must have in common, and notes it. While their secret is being changed nodes have two
    /// fingerprints, of which one has to be known; so whoever has only the older or only the newer one fits as long as one of these
    /// came last.
    pub async fn check_deployment(&self, fingerprints: &[String]) -> Result<(), StartError> {
        let mine = self.layout.common(&fingerprints.join(","));
        let mut set = redis::cmd("SET");
        set.arg(self.layout.deployment()).arg(&mine).arg("NX").arg("GET");
        let theirs: Option<String> = self.main().ask(&set).await?;
        match theirs.as_deref().map(|theirs| self.layout.fits(theirs)) {
            Some(None) => Err(StartError::Mismatch("another REDIS_PARTITIONS")),
            Some(Some(known)) if !known.split(',').any(|known| fingerprints.iter().any(|own| own == known)) => {
                Err(StartError::Mismatch("another TANDEM_SECRET"))
            }
            Some(Some(_)) if theirs.as_deref() != Some(mine.as_str()) => {
                let mut note = redis::cmd("SET");
                note.arg(self.layout.deployment()).arg(&mine);
                self.main().ask::<()>(&note).await?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// Whether Redis does what this node asks of it, as far as is known.
    pub fn is_obeyed(&self) -> bool {
        self.links.iter().all(|link| !link.is_refused())
    }

    /// Where what belongs to no room is said.
    pub(super) fn main(&self) -> &Link {
        self.link_of(0)
    }

    pub(super) fn link(&self, room: &RoomId) -> &Link {
        self.link_of(self.layout.partition(room))
    }

    pub(super) fn link_of(&self, partition: u16) -> &Link {
        let number = usize::from(partition) % self.links.len().max(1);
        // There is one at least; the other branch is for the types only.
        self.links.get(number).unwrap_or_else(|| unreachable!("a node has a link"))
    }

    pub(super) fn weak(self: &Arc<Self>) -> Weak<Self> {
        Arc::downgrade(self)
    }

    /// The room as it is now, whether it is heard or not.
    async fn load(&self, room: &RoomId) -> Result<Room, BackendError> {
        decode_room(room, &self.fields(room).await?).map_err(|error| self.unreadable(room, &error))
    }

    async fn fields(&self, room: &RoomId) -> Result<Fields, BackendError> {
        self.link(room).ask(redis::cmd("HGETALL").arg(self.layout.room(room))).await
    }

    /// What Redis has of a room is not what a node has written.
    fn unreadable(&self, room: &RoomId, why: &dyn std::fmt::Display) -> BackendError {
        let error = corrupt(&format!("what Redis has of room {room}"), why);
        self.faults.note(&error);
        error
    }

    fn unencodable(&self, error: &CodecError) -> BackendError {
        let error = BackendError::Unencodable(error.to_string());
        self.faults.note(&error);
        error
    }

    /// Puts a room in the place of one that is still as it was `found`: its version and epoch, as they stand there.
    async fn put_back(&self, room: &Room, found: [Vec<u8>; 2], due: Due) -> Result<Commit, BackendError> {
        let call = self.restore_script(&self.scripts.commit, room, found, due);
        let call = call.map_err(|error| self.unencodable(&error))?;
        let said: Option<String> = self.link(&room.id).invoke(&call).await?;
        if said.is_none() {
            return Ok(Commit::Conflict);
        }
        // Redis may have forgotten them: should they be dead, somebody has to find out.
        let mut others: Vec<_> = room.members.values().map(|member| &member.node).collect();
        others.sort_unstable();
        others.dedup();
        for node in others.into_iter().filter(|node| **node != self.name) {
            self.vouch_for(node, &room.id).await?;
        }
        Ok(Commit::Applied)
    }

    fn rooms(&self) -> usize {
        self.links.iter().map(|link| link.rooms.len()).sum()
    }
}

#[async_trait]
impl Backend for RedisNode {
    fn attach(&self, sink: Arc<dyn Sink>) {
        // A second sink would be a programming error; the first one stays.
        let _ = self.sink.set(sink);
    }

    fn is_up(&self) -> bool {
        self.links.iter().all(|link| link.is_up())
    }

    async fn until_up(&self, within: Duration) -> bool {
        let all = futures_util::future::join_all(self.links.iter().map(|link| link.until_up()));
        tokio::time::timeout(within, all).await.is_ok()
    }

    async fn subscribe(&self, room: &RoomId) -> Result<Room, BackendError> {
        let link = self.link(room);
        let known = link.rooms.contains(room);
        if !known && self.rooms() >= self.max_rooms {
            return Err(BackendError::Full);
        }
        if !known {
            // Before it is heard: a link that is made anew meanwhile listens to it.
            link.rooms.insert(room.clone());
            let channels = [self.layout.channel(room)];
            let mut hold = redis::cmd("SADD");
            hold.arg(self.layout.held(&self.name)).arg(room.as_str());
            let heard = tokio::try_join!(link.listen(&channels), self.main().ask::<i64>(&hold));
            if let Err(error) = heard {
                link.rooms.remove(room);
                return Err(error);
            }
        }
        self.load(room).await
    }

    async fn unsubscribe(&self, room: &RoomId) -> Result<(), BackendError> {
        let link = self.link(room);
        link.rooms.remove(room);
        let mut release = redis::cmd("SREM");
        release.arg(self.layout.held(&self.name)).arg(room.as_str());
        let channel = self.layout.channel(room);
        tokio::try_join!(link.ignore(&channel), self.main().ask::<i64>(&release)).map(|_| ())
    }

    async fn commit(&self, proposal: Proposal) -> Result<Commit, BackendError> {
        let room = &proposal.update.room;
        let entry = match (&proposal.entry, &self.retained) {
            (Some(entry), Some(_)) => serde_json::to_string(entry).map_err(|error| self.unencodable(&error.into()))?,
            _ => String::new(),
        };
        let call = || {
            let call = self.commit_script(&self.scripts.commit, &proposal, &entry);
            call.map_err(|error| self.unencodable(&error))
        };
        let begun = tokio::time::Instant::now();
        let mut said: Option<String> = self.link(room).invoke(&call()?).await?;
        if said.as_deref() == Some(FULL) && self.quota.is_old() {
            // What others have left, or what the worker has taken out meanwhile, may be enough.
            self.measure_ledger().await?;
            said = self.link(room).invoke(&call()?).await?;
        }
        self.metrics.commit.observe(begun.elapsed());
        let Some(said) = said else { return Ok(Commit::Conflict) };
        if said == FULL {
            self.faults.note(&BackendError::LedgerFull);
            return Err(BackendError::LedgerFull);
        }
        if let (Some(retained), Some(id)) = (&self.retained, StreamId::parse(&said)) {
            let gone = retained.keep(self.layout.partition(room), id, &entry);
            self.losses.unguarded(gone);
        }
        Ok(Commit::Applied)
    }

    async fn restore(&self, room: &Room, found: Option<Point>, due: Due) -> Result<Commit, BackendError> {
        let found = found.unwrap_or_default();
        self.put_back(room, [found.1.to_string().into(), found.0.to_string().into()], due).await
    }

    async fn alarm(&self, room: &RoomId) -> Result<(), BackendError> {
        let mut publish = redis::cmd("SPUBLISH");
        publish.arg(self.layout.channel(room)).arg(UNREADABLE);
        self.link(room).ask::<i64>(&publish).await.map(|_| ())
    }

    async fn repair(&self, room: &Room, due: Due) -> Result<Commit, BackendError> {
        let found = match self.fields(&room.id).await {
            Ok(fields) if decode_room(&room.id, &fields).is_ok() => return Ok(Commit::Conflict),
            Ok(fields) => raw_point(&fields),
            // It is no hash.
            Err(BackendError::Corrupt { .. }) => raw_point(&Fields::new()),
            Err(error) => return Err(error),
        };
        self.put_back(room, found, due).await
    }

    async fn history(&self, room: &RoomId, epoch: u64, after: u64) -> Result<Option<Vec<Arc<Update>>>, BackendError> {
        let link = self.link(room);
        let (mut range, mut get) = (redis::cmd("LRANGE"), redis::cmd("HMGET"));
        range.arg(self.layout.history(room)).arg(0).arg(-1);
        get.arg(self.layout.room(room)).arg("e").arg("v");
        // In this order: what is remembered may reach further than the version that was read, never less far.
        let now: (Option<u64>, Option<u64>) = link.ask(&get).await?;
        let (Some(is), Some(version)) = now else { return Ok(None) };
        if is != epoch || after > version {
            return Ok(None);
        }
        if after == version {
            return Ok(Some(Vec::new()));
        }
        let texts: Vec<Vec<u8>> = link.ask(&range).await?;
        match since(&texts, (epoch, after), version) {
            Ok(updates) => Ok(updates),
            // Then it is gone.
            Err(error) => {
                self.unreadable(room, &error);
                Ok(None)
            }
        }
    }

    async fn direct(
        &self,
        room: &RoomId,
        to: &UserId,
        at: Option<&NodeId>,
        frame: Frame,
    ) -> Result<Delivery, BackendError> {
        self.send(&Stray { hops: 0, room: room.clone(), to: to.clone(), frame }, at).await
    }

    async fn answers(
        &self,
        node: &NodeId,
        room: &RoomId,
        user: &UserId,
        conn: ConnId,
    ) -> Result<Option<bool>, BackendError> {
        self.ask_node(node, room, user, conn).await
    }

    async fn inbox(&self, room: &RoomId, user: &UserId) -> Result<Inbox, BackendError> {
        self.read_inbox(room, user).await
    }

    async fn taken(&self, room: &RoomId, user: &UserId, inbox: &Inbox) -> Result<(), BackendError> {
        self.empty_inbox(room, user, inbox).await
    }

    async fn exists(&self, room: &RoomId) -> Result<bool, BackendError> {
        self.link(room).ask(redis::cmd("HEXISTS").arg(self.layout.room(room)).arg("v")).await
    }

    async fn claim_code(&self, code: &str, room: &RoomId, until: Millis, now: Millis) -> Result<bool, BackendError> {
        let mut call = self.scripts.code.key(self.layout.code(code));
        call.arg(room.as_str()).arg(until).arg(now).arg(until.saturating_sub(now).max(CODE_LIFE));
        let given: i64 = self.main().invoke(&call).await?;
        Ok(given == 1)
    }

    async fn resolve_code(&self, code: &str, now: Millis) -> Result<Option<RoomId>, BackendError> {
        let said: Option<String> = self.main().ask(redis::cmd("GET").arg(self.layout.code(code))).await?;
        let Some(said) = said else { return Ok(None) };
        let found =
            said.split_once(':').and_then(|(until, room)| Some((until.parse().ok()?, RoomId::parse(room).ok()?)));
        if found.is_none() {
            self.faults.note(&corrupt("the room of a short code", &"it is not what nodes write"));
        }
        Ok(found.filter(|(until, _): &(Millis, RoomId)| *until > now).map(|(_, room)| room))
    }
}

/// The remembered updates after a point, if they reach to `version` without a hole.
fn since(texts: &[Vec<u8>], (epoch, after): Point, version: u64) -> Result<Option<Vec<Arc<Update>>>, CodecError> {
    let mut updates = Vec::new();
    let mut reached = after;
    for text in texts {
        let ((of, to), _) = split_update(text)?;
        if of != epoch || to <= after {
            continue;
        }
        let update = decode_update(text)?;
        if update.base > reached {
            return Ok(None);
        }
        reached = to;
        updates.push(Arc::new(update));
    }
    Ok((reached >= version).then_some(updates))
}
