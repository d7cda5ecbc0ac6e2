// Tables: what a shard executes.
//
// # What it is for
//
// A shard replicates opaque commands (Raft) and keeps opaque keys and values (Store). This target gives both a meaning:
// column types, schemas, keys whose bytes sort as their values do, compact rows, JSON in both directions, commands,
// replies, and the deterministic `ShardMachine.apply` that turns one command into changes of the tree.
//
// # How a write passes through
//
//     PUT /v1/tables/packages/rows/bash  {"size": 7}
//       │  Catalog.table(named:)                       name → Table (description and layout), in memory
//       │  CommandWriter.put                           path → key bytes, JSON → row bytes, one command
//       ▼  … the log …
//     ShardMachine.apply(command, version, store)      pass one: find, decide, prepare; PageMissing → load, again
//       │                                              pass two: change; cannot fail
//       ▼
//     Reply                                            created(version), conditionFailed(current), …
//
// Reads take the same shape: `ReadWriter` makes the bytes of a request, `ShardMachine.read` answers with JSON.
//
// # The parts, from the bottom up
//
// - *Cell*: the canonical bytes of one value. Every conversion goes through it: JSON → cell → row, path text → cell →
//   key, key → cell → JSON. A value has exactly one cell. (`Values/`)
// - *Key*: the cells of the primary key, encoded so that memcmp order is value order. (`Keys/`)
// - *Row*: the cells of all other columns; each can be read without looking at the rest. (`Rows/`)
// - *Table*: a description and the layout that follows from it; immutable, shared. *Catalog*: the tables of a shard.
//   (`Schema/`)
// - *State key*: kind byte, table id, key. *Stored value*: version, row. (`Schema/StateKey.swift`)
// - *Command* and *Reply*: binary, with a format version. (`Commands/`)
//
// The byte layouts stand in Docs/Formats-tables.md; golden-bytes tests fail when they change.
//
// # Invariants
//
// 1. `apply` reads the command and the shard's own state, nothing else: replicas that apply the same log are equal.
// 2. `apply` changes nothing before its last possible `PageMissing`, and nothing at all when it refuses.
// 3. The catalog in memory equals what `ShardMachine.restore` would read from the tree.
// 4. `totals.stateHash` is the sum modulo 2^64 of `entryHash` over every key and value of the shard.
// 5. Every row in the tree was validated against its table's layout when it was applied, so readers may trap.
//
// # What it does not do
//
// No schema change of an existing table (its version is 1 until there is one), no range over several shards. Older versions
// (`History/`) are of rows: a snapshot of a table that was dropped since is not found, and nothing pins one. Text sorts by its
// UTF-8 bytes; there is no collation.

/// The limits of this target. Those of API.md are named there; the others bound memory.
package enum TableLimits {
  /// Bytes of an encoded key.
  package static let keyBytesMax = 4096
  /// Bytes of an encoded row, without its version.
  package static let rowBytesMax = 1 << 20
  package static let columnsMax = 1000
  package static let nameBytesMax = 63
  package static let batchOperationsMax = 1000
  /// Bytes of an encoded batch.
  package static let batchBytesMax = 1 << 20
  /// Bytes of any command: a row of the largest size with its key.
  package static let commandBytesMax = rowBytesMax + keyBytesMax + 1024
  /// Bytes of an encoded table description.
  package static let descriptionBytesMax = 256 << 10
  /// Bytes of its JSON, which stands beside it in the catalog: both fit into a row. Escapes can make six bytes of one.
  package static let descriptionJSONBytesMax = 512 << 10
  package static let tablesMax = 10_000
  package static let lookupKeysMax = 10_000
  package static let scanRowsMax = 10_000
  package static let scanRowsDefault = 1000
  /// Bytes of JSON in one page of a scan, or in one lookup.
  package static let pageBytesMax = 16 << 20
  /// Nested arrays and objects in any JSON.
  package static let jsonDepthMax = 128
  /// Rows that one purge command removes.
  package static let purgeRowsMax = 256
  /// Older versions, and notes of deletions, that one advance command drops.
  static let advanceStepsMax = 256
  /// A shard's clock moves at most so far with one command, in milliseconds: an hour.
  package static let advanceMax: UInt32 = 3_600_000
  package static let serialBytesMax = 128
  package static let decimalDigitsMax = 38
}
