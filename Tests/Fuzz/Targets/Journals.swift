import Primitives
import Raft

@testable import Journal

extension FuzzTarget {
  /// Recovery and inspection of a log whose files were edited.
  ///
  ///     flags     1     bit 0: checksums are made right, bit 1: the chain too.  bits 2-3: which checkpoint.  above: which
  ///                     file is inspected
  ///     edits     …     `LogEdit`
  static let journal = FuzzTarget(
    "journal", inputBytesMax: 512, memory: MemoryBound(base: 24 << 20, perInputByte: 1024), seeds: { journalSeeds() }
  ) { input in
    var input = input
    let flags = input.byte()
    var edited = EditedLog()
    for _ in 0..<16 where !input.isAtEnd { edited.apply(&input) }
    if flags & 1 != 0 { edited.seal(chain: flags & 2 != 0) }
    inspect(edited.files, Int(flags >> 4))
    let checkpoints = checkpoints(flags >> 2 & 3)
    do throws(JournalRefusal) {
      let recovered = try recoverJournal(
        edited.files, identity: LogWriter.identity(boot: LogImage.shared.boot), checkpoints: checkpoints)
      checkShards(recovered.shards)
      if flags & 1 == 0 { checkWasWritten(recovered.shards) }
      checkGoesOn(recovered, edited.files, checkpoints)
    } catch {}
  }

  private static func checkpoints(_ choice: UInt8) -> [ShardCheckpoint] {
    let hardState = HardState(term: Term(choice == 3 ? 1 << 40 : 2), vote: nil)
    let applied: [UInt64] = [3, 0, 6, 1 << 40]
    return [ShardCheckpoint(shard: ShardID(1), appliedIndex: LogIndex(applied[Int(choice)]), hardState: hardState)]
  }

  private static func inspect(_ files: LogFiles, _ choice: Int) {
    do throws(JournalRefusal) {
      _ = try inspectSegment(files, file: files.files[choice % files.files.count])
    } catch { fatalError("files in memory are readable: \(error)") }
  }

  /// Entries follow each other, and terms do not fall.
  private static func checkShards(_ shards: [RecoveredShard]) {
    for shard in shards {
      for (one, other) in zip(shard.entries, shard.entries.dropFirst()) {
        require(other.index == one.index.next && other.term >= one.term, "entries follow each other")
      }
      require(shard.entries.last.map { $0.index == shard.lastIndex } ?? true, "the last entry is the last")
    }
  }

  /// Rot gives nothing that was not written.
  private static func checkWasWritten(_ shards: [RecoveredShard]) {
    for shard in shards {
      let known = LogImage.shared.written[shard.shard.rawValue] ?? []
      for entry in shard.entries {
        require(known.contains(entry), "entry \(entry.index) of \(shard.shard) was written")
      }
    }
  }

  /// A log that was recovered is written on, and recovered again as the same with more.
  private static func checkGoesOn(_ recovered: RecoveredJournal, _ files: LogFiles, _ checkpoints: [ShardCheckpoint]) {
    let boot = LogImage.shared.boot
    let before = recovered.shards
    let log = LogWriter(files, recovered, boot: boot)
    guard let shard = before.first(where: { $0.shard == ShardID(1) }), shard.lastIndex.rawValue < 1 << 44 else {
      return
    }
    let term = max(Term(9), shard.entries.last?.term ?? .zero)
    let entry = Entry(index: shard.lastIndex.next, term: term, kind: .command, payload: [1, 2, 3])
    log.append(1, [entry])
    guard log.persisted == log.lastID else { return }  // the log may be full
    do throws(JournalRefusal) {
      let again = try recoverJournal(files, identity: LogWriter.identity(boot: boot + 1), checkpoints: checkpoints)
      for old in before {
        let new = again.shards.first { $0.shard == old.shard }
        let expected = old.entries + (old.shard == ShardID(1) ? [entry] : [])
        require(new?.entries == expected, "\(old.shard) is recovered again as it was")
      }
    } catch { fatalError("a log that was recovered is recovered again: \(error)") }
  }

  private static func journalSeeds() -> [[UInt8]] {
    var seeds: [[UInt8]] = [[0], [3], [4], [8], [15]]
    for block in 0..<UInt8(LogImage.shared.blocks.count) {
      seeds.append([0, LogEdit.flip.rawValue, block, 100, 0, 1])
      seeds.append([3, LogEdit.header.rawValue, block, block, 5, 0, 0, 0, 0, 0, 0, 0])
      seeds.append([3, LogEdit.record.rawValue, block, block, 3, 0, 0, 0, 0, 0, 0, 0])
      seeds.append([1, LogEdit.copy.rawValue, block, 1, 0])
      seeds.append([0, LogEdit.zero.rawValue, block, 1])
    }
    return seeds
  }
}

/// A change of the image; each begins with the number of the block that it is about.
private enum LogEdit: UInt8, CaseIterable {
  /// offset u16, mask u8
  case flip
  /// field u8, value u64 of a block's header
  case header
  /// field u8, value u64 of the first record's header
  case record
  /// block u8 to copy here, number of pages u8
  case copy
  /// pages u8
  case zero
  /// offset u16, sized bytes
  case write
  /// pages u8: the file ends so much earlier
  case cut
}

private struct EditedLog {
  let files = LogFiles(LogImage.shared.files)
  private let blocks = LogImage.shared.blocks

  /// Offset and width of the fields of a block's header, and of a record's.
  private static let header: [(Int, Int)] = [
    (8, 2), (10, 1), (12, 4), (16, 8), (24, 8), (32, 2), (36, 4), (40, 8), (48, 8), (56, 8), (64, 8), (72, 8), (80, 4),
    (84, 4),
  ]
  private static let record: [(Int, Int)] = [
    (0, 1), (1, 1), (2, 1), (4, 4), (8, 4), (12, 8), (20, 8), (28, 8), (36, 8),
  ]

  mutating func apply(_ input: inout Input) {
    let kind = LogEdit.allCases[Int(input.byte()) % LogEdit.allCases.count]
    let block = blocks[Int(input.byte()) % blocks.count]
    switch kind {
    case .flip:
      let offset = Int(input.number(UInt16.self)) % block.length
      edit(block) { $0[offset] ^= max(1, input.byte()) }
    case .header: set(EditedLog.header, in: block, at: 0, &input)
    case .record: set(EditedLog.record, in: block, at: recordsStart(block), &input)
    case .copy:
      let source = bytes(blocks[Int(input.byte()) % blocks.count])
      edit(block) { $0.replaceSubrange(0..<min(source.count, $0.count), with: source.prefix($0.count)) }
    case .zero:
      let count = min(block.length, Int(input.byte()) * 512)
      edit(block) { $0.replaceSubrange(0..<count, with: [UInt8](repeating: 0, count: count)) }
    case .write:
      let offset = Int(input.number(UInt16.self)) % block.length
      let new = input.sized()
      edit(block) {
        $0.replaceSubrange(offset..<min($0.count, offset + new.count), with: new.prefix($0.count - offset))
      }
    case .cut:
      let count = Int(input.byte()) % 17 * JournalFormat.pageBytes
      files.content[block.file].map { files.content[block.file] = Array($0.dropLast(count)) }
    }
  }

  private func recordsStart(_ block: LogImage.Block) -> Int {
    JournalFormat.headerBytes + Int(bytes(block).withUnsafeBytes { read32($0, 80) } & 0xFFF)
  }

  private func set(_ fields: [(Int, Int)], in block: LogImage.Block, at start: Int, _ input: inout Input) {
    let (offset, width) = fields[Int(input.byte()) % fields.count]
    let value: UInt64 = input.number()
    edit(block) { bytes in
      for i in 0..<width where start + offset + i < bytes.count {
        bytes[start + offset + i] = UInt8(truncatingIfNeeded: value >> UInt64(8 * i))
      }
    }
  }

  /// The block's bytes, as far as its file still has them.
  private func bytes(_ block: LogImage.Block) -> [UInt8] {
    guard let file = files.content[block.file], block.offset < file.count else {
      return [UInt8](repeating: 0, count: block.length)
    }
    let part = file[block.offset..<min(file.count, block.offset + block.length)]
    return part + [UInt8](repeating: 0, count: block.length - part.count)
  }

  private func edit(_ block: LogImage.Block, _ body: (inout [UInt8]) -> Void) {
    guard let count = files.content[block.file]?.count, block.offset + block.length <= count else { return }
    var part = bytes(block)
    body(&part)
    files.content[block.file]?.replaceSubrange(block.offset..<block.offset + block.length, with: part)
  }

  /// Makes the checksums of all blocks right, and, for the chain, what each says of the one before.
  func seal(chain: Bool) {
    var previous: UInt32 = 0
    for block in blocks {
      edit(block) { bytes in
        if chain { put(previous, at: 36, &bytes) }
        previous = checksum(bytes)
        put(previous, at: 4, &bytes)
      }
    }
  }

  private func checksum(_ bytes: [UInt8]) -> UInt32 {
    let claimed = bytes.withUnsafeBytes { BlockPrefix($0)?.length } ?? bytes.count
    return crc32c(Array(bytes[8..<min(claimed, bytes.count)]))
  }

  private func put(_ value: UInt32, at offset: Int, _ bytes: inout [UInt8]) {
    for i in 0..<4 { bytes[offset + i] = UInt8(truncatingIfNeeded: value >> UInt32(8 * i)) }
  }
}
