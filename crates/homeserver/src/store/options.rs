//! How `RocksDB` is told to be small: a self-hoster's box, a few users, tens of thousands of events.

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamilyDescriptor, DBCompressionType, LogLevel, Options,
};

use system::descriptors;

use super::{
    expiry,
    table::AccessPattern,
    tables::{ALL, Meta},
};

/// What all tables together may keep in memory before it is written out, in bytes.
const WRITE_BUFFERS_BYTES: usize = 12 * MIB;
/// What one table may keep in memory before it is written out, in bytes.
const WRITE_BUFFER_BYTES: usize = 4 * MIB;
/// The steps in which a table takes memory, in bytes: with fifty tables the default of half a mebibyte would be the footprint.
const ARENA_BYTES: usize = 32 * KIB;
/// What is kept of the files that were read, in bytes.
const CACHE_BYTES: usize = 16 * MIB;
/// The write-ahead log is cut at this size, in bytes: it is read again at the next start.
const LOG_BYTES: u64 = 16 * MIB as u64;
/// Files that stay open, and no more than a quarter of what this process may have open.
const OPEN_FILES: i32 = 256;
/// How many threads open the files of a table. The default of sixteen, made anew for each of fifty tables, was most of a start.
const OPENING_THREADS: i32 = 1;
/// `RocksDB`'s own log files that are kept.
const INFO_LOGS: usize = 2;
/// The size at which `RocksDB`'s own log starts anew, in bytes.
const INFO_LOG_BYTES: usize = MIB;
/// Bits of a bloom filter for each key; ten make one miss in a hundred go to the disk.
const BLOOM_BITS: f64 = 10.0;

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

/// The options of the database as a whole.
pub(super) fn database() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_db_write_buffer_size(WRITE_BUFFERS_BYTES);
    options.set_max_total_wal_size(LOG_BYTES);
    let quarter = i32::try_from(descriptors::soft_limit() / 4).unwrap_or(i32::MAX);
    options.set_max_open_files(OPEN_FILES.min(quarter));
    options.set_max_background_jobs(2);
    options.set_max_file_opening_threads(OPENING_THREADS);
    options.set_keep_log_file_num(INFO_LOGS);
    options.set_max_log_file_size(INFO_LOG_BYTES);
    options.set_log_level(LogLevel::Warn);
    options.set_stats_dump_period_sec(0);
    options.set_stats_persist_period_sec(0);
    options.set_skip_stats_update_on_db_open(true);
    options
}

/// The options of every table, the one that `RocksDB` itself demands included.
pub(super) fn families() -> Vec<ColumnFamilyDescriptor> {
    let cache = Cache::new_lru_cache(CACHE_BYTES);
    let default = ("default", AccessPattern::Lookup);
    let known = ALL.iter().copied().chain([default]);
    known
        .map(|(name, shape)| {
            let mut options = family(shape, &cache);
            expiry::set_compaction_filter(name, &mut options);
            ColumnFamilyDescriptor::new(name, options)
        })
        .collect()
}

fn family(shape: AccessPattern, cache: &Cache) -> Options {
    let mut blocks = BlockBasedOptions::default();
    blocks.set_block_cache(cache);
    blocks.set_cache_index_and_filter_blocks(true);
    blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
    blocks.set_format_version(5);
    if shape == AccessPattern::Lookup {
        blocks.set_bloom_filter(BLOOM_BITS, false);
    }
    let mut options = Options::default();
    options.set_block_based_table_factory(&blocks);
    options.set_write_buffer_size(WRITE_BUFFER_BYTES);
    options.set_arena_block_size(ARENA_BYTES);
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_level_compaction_dynamic_level_bytes(true);
    options
}

/// The table whose presence tells our databases from those of others.
pub(super) const OURS: &str = <Meta as super::table::Table>::NAME;
