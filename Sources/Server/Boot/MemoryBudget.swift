import Journal
import Logging
import Node
import Primitives
import Ring
import Store

/// What the process may use of memory, as a sum of parts that each have a bound. All bounds are fixed at the start, from the
/// settings `memory`, `connections` and `disk-limit` and the number of nodes:
///
///     program      code and libraries, tables of fixed size
///     pages        `memory`
///     page-table   40 bytes for each page that the page file may have
///     log          entries in memory, blocks on their way to and from the disk, 20 bytes for each entry on the disk
///     requests     bodies that are being received, requests that wait
///     answers      what is printed in one turn, copied to its streams, and what clients have not taken
///     connections  buffers and TLS of each
///     peers        what is on its way to the other nodes and from them
///
/// The parts beside the pages follow a share: a quarter of `memory`, between 16 MiB and 64 MiB.
///
/// **What it does not count.** Descriptions of tables and revocations, which stay in memory for good. Without `disk-limit` the
/// page file may grow as long as the disk has room, and its table with it: what it has now is counted then.
struct MemoryBudget: Equatable {
  struct Part: Equatable {
    let name: String
    let bytes: UInt64
  }

  private static let programBytes: UInt64 = 40 << 20
  private static let shareRange: ClosedRange<UInt64> = 16 << 20...64 << 20
  /// Of an entry of the page table, with its bits in the maps of the file's space.
  private static let tableEntryBytes: UInt64 = 40
  /// An entry of the log takes so many bytes on the disk, mostly many more.
  private static let logEntryBytes: UInt64 = 1 << 10
  private static let logPlaceBytes: UInt64 = 20
  /// Blocks that are being written, and parts of the log that are being read.
  private static let journalBytes: UInt64 = 12 << 20
  /// Slots of requests, deadlines, page reads and writes in flight.
  private static let requestTableBytes: UInt64 = 16 << 20
  /// What Raft may have on the way to one follower, twice.
  private static let raftMessageBytes: UInt64 = 8 << 20
  /// A connection with TLS, HTTP/2 and its buffers, as it rests.
  static let connectionBytes: UInt64 = 128 << 10

  let memory: UInt64
  let connections: UInt64
  let share: UInt64
  private let disk: DiskBudget
  private let isDiskLimited: Bool
  private let peers: UInt64

  init(_ configuration: Configuration) {
    memory = configuration.memory
    connections = UInt64(configuration.connections)
    share = min(max(memory / 4, Self.shareRange.lowerBound), Self.shareRange.upperBound)
    disk = DiskBudget(limit: configuration.diskLimit)
    isDiskLimited = configuration.diskLimit != nil
    peers = UInt64(max(1, configuration.peers.count) - 1)
  }

  // MARK: - The bounds

  var raftCacheBytes: UInt64 { share / 2 }
  var unappliedBytes: UInt64 { share }
  var logWaitingBytes: UInt64 { min(share, disk.logBytesMax / 16) }
  var requestBytes: UInt64 { share * 3 / 2 }
  var bodyBytes: UInt64 { share }
  var answerBytes: UInt64 { share }
  var waitingBytes: UInt64 { share }
  /// Of a link, and of what one turn collects for it: all answers of a turn have room beside Raft's messages.
  var linkBytes: UInt64 { answerBytes + Self.raftMessageBytes }

  func apply(to settings: inout NodeSettings) {
    settings.raft.cacheBytesMax = Int(raftCacheBytes)
    settings.raft.unappliedBytesMax = Int(unappliedBytes)
    settings.limits.recoveredBytesMax = Int(raftCacheBytes)
    settings.limits.requestBytesMax = Int(requestBytes)
    settings.limits.answerBytesMax = Int(answerBytes)
    settings.limits.outboxBytesMax = Int(linkBytes)
  }

  func apply(to settings: inout JournalSettings) { settings.waitingBytesMax = Int(logWaitingBytes) }

  func apply(to limits: inout EdgeLimits) {
    limits.connectionsMax = Int(connections)
    limits.connectionBytesMax = Int(connections * Self.connectionBytes)
    limits.bodyBytesMax = Int(bodyBytes)
    limits.waitingBytesMax = Int(waitingBytes)
    limits.linkBytesMax = Int(linkBytes)
  }

  // MARK: - The sum

  /// `pages`: those that the page table reaches now.
  func parts(pages: Int) -> [Part] {
    let tablePages = isDiskLimited ? UInt64(disk.pages) : UInt64(pages)
    // What is applied and durable goes as soon as there is more than the cache holds.
    let entries = max(raftCacheBytes, unappliedBytes + logWaitingBytes)
    return [
      Part(name: "program", bytes: Self.programBytes),
      Part(name: "pages", bytes: memory),
      Part(name: "page-table", bytes: UInt64(Store.tablePages(for: tablePages)) * Self.tableEntryBytes),
      Part(
        name: "log",
        bytes: entries + Self.journalBytes + disk.logBytesMax / Self.logEntryBytes * Self.logPlaceBytes),
      Part(name: "requests", bytes: bodyBytes + requestBytes + Self.requestTableBytes),
      Part(name: "answers", bytes: 2 * answerBytes + waitingBytes),
      Part(name: "connections", bytes: connections * Self.connectionBytes),
      Part(name: "peers", bytes: peers * (Self.raftMessageBytes + linkBytes + UInt64(LinkFrame.payloadBytesMax))),
    ]
  }

  /// For the log: the sum and its parts.
  func metadata(pages: Int) -> Logger.Metadata {
    var fields: Logger.Metadata = ["bytes": "\(bytes(pages: pages))"]
    for part in parts(pages: pages) { fields[part.name] = "\(part.bytes)" }
    return fields
  }

  func bytes(pages: Int) -> UInt64 { parts(pages: pages).reduce(0) { $0 + $1.bytes } }
}
