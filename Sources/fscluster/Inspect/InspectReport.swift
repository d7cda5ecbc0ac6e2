import Foundation
import Journal
import Node
import Primitives
import Raft
import Sealing
import Store

/// What `inspect` found.
struct InspectReport: Codable {
  struct Superblock: Codable {
    var slot: Int
    /// Nil: it cannot be read, `problem` says why.
    var epoch: UInt64?
    var pages: UInt32?
    var problem: String?
  }

  struct Shard: Codable {
    var shard: UInt64
    var rows: UInt64
    var bytes: UInt64
    var height: UInt32
    var appliedIndex: UInt64?
    var appliedTerm: UInt64?
    var term: UInt64?
    var vote: String?
    var voters: [String]?
    var stateHash: String?
  }

  struct Segment: Codable {
    var file: String
    var bytes: UInt64
    var blocks: Int
    /// Of the blocks' sequence numbers and boot numbers.
    var firstSequence: UInt64?
    var lastSequence: UInt64?
    var lastBoot: UInt64?
    /// Offsets of blocks that are not whole: the torn end of a crash, remains of an earlier use, or damage.
    var broken: [UInt64] = []
    /// Only with `--blocks`.
    var list: [Block]?
  }

  struct Block: Codable {
    var offset: UInt64
    var kind: String
    var length: UInt32
    var boot: UInt64
    var use: UInt64
    var sequence: UInt64
    var watermark: UInt64
    var records: [String]
  }

  /// What a start of the node would find.
  struct Log: Codable {
    /// Where the last crash cut off a write; nothing acknowledged was lost there.
    var tornTail: String?
    var lastIndexes: [String]
  }

  struct Identity: Codable {
    var cluster: String
    var node: String
    var incarnation: String
    var directory: String
    /// Of the last start; 0 before the first.
    var boot: UInt64
  }

  var data: String
  var identity: Identity?
  var superblocks: [Superblock] = []
  var shards: [Shard] = []
  var pagesReached = 0
  var segments: [Segment] = []
  var log: Log?
  /// Places that do not hold what they should: file, offset and reason.
  var damage: [String] = []
}

extension StoppedData {
  func inspect(listingBlocks: Bool) throws(CommandError) -> InspectReport {
    var report = InspectReport(data: path)
    var boots: Boots?
    do throws(DecodeError) { boots = try self.boots() } catch { report.damage.append("boots: \(error.message)") }
    let newest = readSuperblocks(&report, boots)
    if let newest { readPages(newest, &report) }
    for (name, file) in segments { readSegment(name, file, listingBlocks, &report) }
    if let newest { judgeLog(newest.identity, boots, &report) }
    if let lostKey {
      report.damage.append("keys: the data key \(keyName(lostKey)), with which something is encrypted, is not there")
    }
    return report
  }

  /// Reads the log as a start of the node would, which tells a torn end from damage.
  private func judgeLog(_ identity: StoreIdentity, _ boots: Boots?, _ report: inout InspectReport) {
    let journal = JournalIdentity(
      directory: identity.directory, lane: identity.lane, boot: (boots?.last?.number ?? 0) + 1)
    let checkpoints = report.shards.map { shard in
      ShardCheckpoint(
        shard: ShardID(shard.shard), appliedIndex: LogIndex(shard.appliedIndex ?? 0),
        hardState: HardState(term: Term(shard.term ?? 0), vote: nil))
    }
    do throws(JournalRefusal) {
      let recovered = try recoverJournal(
        self, identity: journal, checkpoints: checkpoints, opened: boots?.opened)
      report.log = InspectReport.Log(
        tornTail: recovered.tornTail.map { "\(Self.name(of: $0.file)), offset \($0.offset)" },
        lastIndexes: recovered.shards.map { "shard \($0.shard.rawValue): through index \($0.lastIndex.rawValue)" })
    } catch { report.damage.append("lane-0/log: \(Self.text(error))") }
  }

  private static func text(_ refusal: JournalRefusal) -> String {
    let (file, offset) = refusal.place
    return name(of: file) + (offset.map { ", offset \($0)" } ?? "") + ": " + refusal.text
  }

  /// Returns the newest that can be read.
  private func readSuperblocks(_ report: inout InspectReport, _ boots: Boots?) -> Superblock? {
    var newest: Superblock?
    for slot in 0..<2 {
      var entry = InspectReport.Superblock(slot: slot)
      do throws(SuperblockProblem) {
        let superblock = try superblock(slot)
        entry.epoch = superblock.epoch.rawValue
        entry.pages = superblock.pageCount
        if superblock.epoch > newest?.epoch ?? Epoch(0) || newest == nil { newest = superblock }
      } catch {
        entry.problem = error.message
        report.damage.append("lane-0/pages, offset \(PageID(UInt32(slot)).fileOffset): superblock: \(error.message)")
      }
      report.superblocks.append(entry)
    }
    if let identity = newest?.identity { report.identity = InspectReport.Identity(identity, boots) }
    return newest
  }

  private func readPages(_ superblock: Superblock, _ report: inout InspectReport) {
    var source = StoppedPages(data: self)
    let found = verifyStore(&source, superblock)
    report.pagesReached = found.pages
    report.damage += found.findings.map { "lane-0/pages: \($0)" }
    for shard in found.shards {
      var entry = InspectReport.Shard(
        shard: shard.shard.rawValue, rows: shard.rows, bytes: shard.bytes, height: shard.height)
      do throws(DecodeError) {
        entry.fill(try ReplicaRecord(decoding: shard.metadata))
      } catch {
        report.damage.append("lane-0/pages: the record of shard \(shard.shard.rawValue): \(error.message)")
      }
      report.shards.append(entry)
    }
  }

  private func readSegment(
    _ name: String, _ file: JournalFile, _ listingBlocks: Bool, _ report: inout InspectReport
  ) {
    var segment = InspectReport.Segment(file: name, bytes: file.bytes, blocks: 0, list: listingBlocks ? [] : nil)
    let place = "lane-0/log/\(name)"
    do throws(JournalRefusal) {
      for part in try inspectSegment(self, file: file) {
        switch part {
        case .block(let block):
          segment.add(block)
          if block.isMalformed {
            report.damage.append("\(place), offset \(block.offset): no writer writes such a block")
          }
        case .badBlock(let offset, _), .unknownVersion(let offset, _): segment.broken.append(offset)
        }
      }
    } catch { report.damage.append("\(place): \(Self.text(error))") }
    report.segments.append(segment)
  }
}

extension InspectReport.Identity {
  init(_ identity: StoreIdentity, _ boots: Boots?) {
    cluster = identity.cluster.map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
    node = identity.node.description
    incarnation = identity.incarnation.description
    directory = String(identity.directory, radix: 16)
    boot = boots?.last?.number ?? 0
  }
}

extension InspectReport.Shard {
  mutating func fill(_ record: ReplicaRecord) {
    appliedIndex = record.appliedIndex.rawValue
    appliedTerm = record.appliedTerm.rawValue
    term = record.hardState.term.rawValue
    vote = record.hardState.vote.map { "\($0.node)" }
    voters = record.configuration.voters.map { "\($0.node) (\($0.incarnation))" }
    stateHash = String(record.totals.stateHash, radix: 16)
  }
}

extension InspectReport.Segment {
  mutating func add(_ block: InspectedBlock) {
    blocks += 1
    let header = block.header
    firstSequence = min(firstSequence ?? .max, header.sequence)
    lastSequence = max(lastSequence ?? 0, header.sequence)
    lastBoot = max(lastBoot ?? 0, header.boot)
    list?.append(
      InspectReport.Block(
        offset: block.offset, kind: "\(header.kind)", length: header.length, boot: header.boot, use: header.use,
        sequence: header.sequence, watermark: header.watermark, records: block.records.map(Self.text)))
  }

  private static func text(_ record: InspectedRecord) -> String {
    let part = record.isFirstFragment && record.isLastFragment ? "" : ", a part of \(record.total)"
    return "\(record.kind) shard \(record.shard.rawValue) index \(record.index.rawValue) term \(record.term.rawValue)"
      + " (\(record.bytes) bytes\(part))"
  }
}

extension InspectReport {
  var lines: [String] {
    var lines = ["data directory \(data)"]
    if let identity {
      lines.append("cluster \(identity.cluster)  node \(identity.node)  incarnation \(identity.incarnation)")
      lines.append("directory \(identity.directory)  starts so far \(identity.boot)")
    }
    let newest = superblocks.compactMap(\.epoch).max()
    for superblock in superblocks {
      let text = superblock.epoch.map {
        "epoch \($0), \(superblock.pages ?? 0) pages\($0 == newest ? ", the newest" : "")"
      }
      lines.append("superblock \(superblock.slot): \(text ?? superblock.problem ?? "")")
    }
    for shard in shards { lines += text(shard) }
    lines.append("\(pagesReached) pages reached from the newest superblock")
    lines += logLines
    lines.append(damage.isEmpty ? "No damage found." : "Damage:")
    return lines + damage.map { "- " + $0 }
  }

  private func text(_ shard: Shard) -> [String] {
    [
      "shard \(shard.shard): \(shard.rows) entries, \(Humane.bytes(shard.bytes)), tree of height \(shard.height)",
      "  applied index \(shard.appliedIndex ?? 0) of term \(shard.appliedTerm ?? 0), state hash \(shard.stateHash ?? "-")",
      "  at the checkpoint: term \(shard.term ?? 0), vote \(shard.vote ?? "none"), "
        + "voters \((shard.voters ?? []).joined(separator: ", "))",
    ]
  }

  private var logLines: [String] {
    guard !segments.isEmpty else { return ["log: no segment yet"] }
    var lines = ["log: \(segments.count) segments, \(Humane.bytes(segments.reduce(0) { $0 + $1.bytes }))"]
    for segment in segments {
      let range = segment.firstSequence.map { "sequences \($0) to \(segment.lastSequence ?? $0)" } ?? "empty"
      lines.append("  \(segment.file)  \(Humane.bytes(segment.bytes))  \(segment.blocks) blocks  \(range)")
      for offset in segment.broken { lines.append("    offset \(offset)  not whole") }
      for block in segment.list ?? [] {
        lines.append(
          "    offset \(block.offset)  \(block.kind)  \(block.length) bytes  sequence \(block.sequence)  boot \(block.boot)"
            + "  use \(block.use)  durable through \(block.watermark)")
        lines += block.records.map { "      " + $0 }
      }
    }
    if let log {
      lines += log.lastIndexes.map { "  " + $0 }
      if let tail = log.tornTail { lines.append("  torn end of the last crash at \(tail)") }
    }
    return lines
  }
}
