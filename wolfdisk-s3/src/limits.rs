//! Every limit of the gateway, with its reason.

use std::time::Duration;

/// Connections that are served at once; more wait in the kernel's queue. Each costs a task, its buffers and a
/// descriptor.
pub const CONNECTIONS_MAX: usize = 4096;
/// Connections that the kernel has wait until they are accepted. It resets some of a crowd that comes at once and is larger,
/// or than `net.core.somaxconn`, which is 4096 too where nobody changed it.
pub const CONNECTIONS_WAITING_MAX: u32 = 4096;
/// Of [`CONNECTIONS_MAX`], those of one address (a network, with IPv6): nobody may have all. Behind a proxy all have one address.
pub const CONNECTIONS_OF_ONE_MAX: usize = CONNECTIONS_MAX / 2;
/// Descriptors that this takes, with those of the volume.
pub const DESCRIPTORS_WANTED: u64 = 8192;
/// How long the head of a request may take, and how long a connection may rest between two.
pub const HEADER_DEADLINE: Duration = Duration::from_secs(30);
/// What the head of a request may hold, and what is read from a connection at once. S3 allows 8 KiB of headers;
/// signed URLs come on top.
pub const HEADER_MAX_BYTES: usize = 128 * 1024;
/// Headers of a request.
pub const HEADERS_MAX: usize = 128;
/// A client that takes or sends less than [`PACE_MIN_BYTES`] while it is waited for so long is cut off.
pub const PACE_WINDOW: Duration = Duration::from_secs(30);
/// See [`PACE_WINDOW`]. Half a kilobyte a second is slower than any line that is worth waiting for.
pub const PACE_MIN_BYTES: u64 = 16 * 1024;
/// What is taken in and dropped of a body that nobody wanted, so that its client reads the answer.
pub const REST_MAX_BYTES: usize = 16 * 1024 * 1024;
/// How long that may take.
pub const REST_DEADLINE: Duration = Duration::from_secs(10);
/// How long client and gateway may take to agree on a secret stream, with HTTPS.
pub const TLS_HANDSHAKE_DEADLINE: Duration = Duration::from_secs(10);
/// How often it is looked whether the certificate of HTTPS was renewed.
pub const TLS_LOOK_EVERY: Duration = Duration::from_secs(60);
/// Pause after a connection could not be accepted, for lack of descriptors mostly.
pub const ACCEPT_RETRY: Duration = Duration::from_millis(50);
/// How long requests under way may take at a stop.
pub const STOP_DEADLINE: Duration = Duration::from_secs(20);
/// How long the daemons may take to answer at start: they may be replaying their log.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(30);
/// How long a node may take to answer that: a handshake and a round trip, over a slow link too.
pub const SEAL_DEADLINE: Duration = Duration::from_secs(10);
/// A node is asked for the seal of access keys at most so often: a record that was changed by hand opens under none.
pub const SEAL_ASKED_EVERY: Duration = Duration::from_secs(5);
/// Pause between two tries to reach them.
pub const CONNECT_RETRY: Duration = Duration::from_millis(100);

/// Threads that call the volume. Those that wait for a sync share it, so more of them make more of each sync.
pub const BLOCKING_THREADS_MAX: usize = 128;
/// Calls of one request that run at once.
pub const CALLS_OF_A_REQUEST: usize = 16;

/// Bytes of all uploads that are on their way to the chunk store; uploads wait above it. A gateway that takes in objects
/// of any size is to stay within 200 MB.
pub const DIRTY_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes that are read of mapped chunks before their pages are let go: what the kernel caches of a large object is not to
/// be taken for memory of the gateway.
pub const MAPPED_MAX_BYTES: usize = 64 * 1024 * 1024;
/// Bytes of an upload that are gathered before they are written and hashed: one such piece is being gathered and
/// one worked on, so an upload takes twice this.
pub const UPLOAD_PIECE_BYTES: usize = 512 * 1024;
/// Bytes of an object that are read at once.
pub const READ_PIECE_BYTES: usize = 1024 * 1024;
/// Bytes of an object that are copied: objects up to it as a whole, of larger ones the last bytes, which go out only
/// after all others were taken.
pub const COPIED_MAX_BYTES: usize = 16 * 1024;
/// Reads ahead of what the client has taken.
pub const READS_AHEAD: usize = 2;
/// Content without a known MD5 up to so much is hashed by the request that shows its tag: one read, and two
/// milliseconds.
pub const HASH_AT_ONCE_MAX_BYTES: u64 = READ_PIECE_BYTES as u64;
/// Larger files that wait to be read for their MD5; who looks at one more asks in vain, until somebody looks again.
pub const LEARN_QUEUE_MAX: usize = 1024;
/// How often it is looked whether a file that is read for its MD5 is still the same.
pub const LEARN_LOOK_BYTES: u64 = 64 << 20;
/// How long a file is left alone that changed while it was read for its MD5, or whose MD5 could not be kept.
pub const LEARN_REST: Duration = Duration::from_secs(60);
/// Files that are left alone; of more, those that rest longest are forgotten. They are looked through one by one.
pub const LEARN_RESTING_MAX: usize = 256;
/// Largest object that is put in one piece, as in S3.
pub const PUT_MAX_BYTES: u64 = 5 << 30;
/// Largest body of XML: a Complete of 10,000 parts with checksums, or a Delete of 1,000 keys whose every byte is
/// escaped.
pub const XML_MAX_BYTES: usize = 8 * 1024 * 1024;

/// Parts of an upload, as in S3.
pub const PARTS_MAX: u16 = 10_000;
/// Smallest part but the last, as in S3.
pub const PART_MIN_BYTES: u64 = 5 << 20;
/// Parts that are put together in one call of a blocking thread.
pub const PARTS_AT_ONCE: usize = 64;
/// How often it is looked for uploads that nobody ends, and for parts of those that have ended: left when a gateway died
/// while it removed them.
pub const SWEEP_EVERY: Duration = Duration::from_secs(6 * 60 * 60);
/// Pause of that behind each page of keys and each upload that is removed: nobody waits for it, and others for the disk.
pub const SWEEP_PAUSE: Duration = Duration::from_millis(100);

/// What a listing gives at once, as in S3.
pub const LIST_MAX: u32 = 1000;
/// Uploads in progress of one bucket that a listing sorts.
pub const UPLOADS_SORTED_MAX: usize = 10_000;
/// Answers of the index that make one page of a listing: what is hidden costs rounds without entries.
pub const LIST_ROUNDS_MAX: usize = 64;
/// Keys in one Delete, as in S3.
pub const DELETE_MAX: usize = 1000;

/// How often a conditional write looks again when the object was changed meanwhile.
pub const CONDITION_ATTEMPTS: usize = 8;

/// What the names and values of `x-amz-meta-*` may hold, as in S3.
pub const METADATA_MAX_BYTES: usize = 2 * 1024;
/// What is kept of an object beside its content: headers, metadata and tags.
pub const STORED_MAX_BYTES: usize = 16 * 1024;
/// Tags of an object, as in S3.
pub const TAGS_MAX: usize = 10;
/// Characters in the key of a tag, as in S3.
pub const TAG_KEY_MAX_CHARS: usize = 128;
/// Characters in the value of a tag, as in S3.
pub const TAG_VALUE_MAX_CHARS: usize = 256;

/// How long what the index says of an access key counts: so long a key that was deleted may still work.
pub const KEY_LIFETIME: Duration = Duration::from_secs(1);
/// The same of which folder a bucket is mapped to, and of names that are no bucket.
pub const BUCKET_MAP_LIFETIME: Duration = Duration::from_secs(1);
/// Answers of each kind that are remembered, also those that there is nothing: whoever makes up ids of keys fills no more.
pub const REMEMBERED_MAX: usize = 4096;
/// Such answers of each kind that are asked for at once: made-up ids leave most of the threads to others.
pub const LOOKUPS_AT_ONCE: usize = 16;
/// How long a request waits for one.
pub const LOOKUP_DEADLINE: Duration = Duration::from_secs(60);
/// A record of what S3 keeps of a bucket: a thousand rules of a kilobyte each.
pub const CONFIGURATION_MAX_BYTES: usize = 1024 * 1024;
/// Tags of a bucket, as in S3.
pub const BUCKET_TAGS_MAX: usize = 50;
/// Rules for web pages of a bucket, as in S3.
pub const CORS_RULES_MAX: usize = 100;
/// Origins, methods or headers of such a rule: all are compared with each request of a page.
pub const CORS_NAMES_MAX: usize = 1000;
/// All texts of such rules, with what each takes beside its bytes, as in S3: all are compared with each request of a
/// page, and strangers send those.
pub const CORS_MAX_BYTES: usize = 64 * 1024;
/// Headers that a page can ask for at once.
pub const CORS_ASKED_MAX: usize = 100;
/// An origin or the name of a header in such a rule.
pub const CORS_TEXT_MAX_BYTES: usize = 1024;
/// Buckets whose rules for web pages are remembered; with more they are asked for again.
pub const CORS_CACHED_MAX: usize = 1024;
/// How long rules for web pages are remembered: changed ones hold everywhere after that.
pub const CORS_CACHED_FOR: Duration = Duration::from_secs(1);
/// Rules for the life of objects of a bucket, as in S3.
pub const LIFECYCLE_RULES_MAX: usize = 1000;
/// Characters in the ID of a rule, as in S3.
pub const RULE_ID_MAX_CHARS: usize = 255;
/// When objects whose life is over are first looked for: a start has better things to do.
pub const LIFECYCLE_FIRST: Duration = Duration::from_secs(5 * 60);
/// A clock that was set forward by more since the last look ends nothing this time.
pub const LIFECYCLE_CLOCK_STEP_MAX: Duration = Duration::from_secs(60 * 60);
/// Keys of a bucket that are judged at once.
pub const LIFECYCLE_PAGE: u32 = 256;
/// Objects whose life is over that are removed at once: few, so that clients come first.
pub const LIFECYCLE_REMOVALS: usize = 4;
/// After each page it is paused for as long as the page took, but no longer than this.
pub const LIFECYCLE_PAUSE_MAX: Duration = Duration::from_secs(1);

/// Longest life of a signed link, as in S3: whoever has one needs no key.
pub const LINK_MAX_S: u32 = 7 * 24 * 60 * 60;

/// Fields of a form before its file, names and values together, as in S3.
pub const FORM_FIELDS_MAX_BYTES: usize = 20 * 1024;
/// The same with all that is around them: names of their parts, boundaries, further headers.
pub const FORM_HEAD_MAX_BYTES: usize = 64 * 1024;
/// Fields of a form before its file. Ten tags and all headers that are kept are far less.
pub const FORM_FIELDS_MAX: usize = 100;
/// The name of a field. `x-amz-meta-` and what the user's metadata may hold.
pub const FORM_NAME_MAX_BYTES: usize = 2 * 1024;
/// What separates the parts of a form, as RFC 2046 has it.
pub const FORM_BOUNDARY_MAX_BYTES: usize = 70;
/// What the parser of a form gets at once before the file, so that the file is not gathered with the fields.
pub const FORM_PIECE_BYTES: usize = 4 * 1024;
/// How far the clock of whoever signs a form may be ahead, as in S3.
pub const SKEW_MAX: Duration = Duration::from_secs(15 * 60);
/// How old the signature of a form may be, as in S3: its policy may say less.
pub const FORM_SIGNATURE_MAX_AGE: Duration = Duration::from_secs(7 * 24 * 60 * 60);
