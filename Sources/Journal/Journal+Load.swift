import Primitives
import Raft

// Entries that Raft no longer holds in memory, read back for a follower that lags.
//
// A load reads the blocks that its entries need, run by run, one read at a time (an entry may go on in the next run).
// Records are taken as recovery takes them: the last one of an index counts.

struct LoadInProgress {
  /// Consecutive blocks of one file.
  struct Run: Equatable {
    let file: UInt32
    let use: UInt64
    let offset: UInt64
    var count: Int
  }

  let order: LoadOrder
  let places: [EntryPlace]
  let runs: [Run]
  var nextRun = 0
  var read: ReadID = 0
  var collector: EntryCollector
}

extension Journal {
  /// At most so much is read for one load, so that small entries in many large blocks do not read the whole log.
  private static let readBytesMax = 4 << 20

  /// Orders the reads for entries of the log on disk. Answered by `.loaded` or `.loadFailed`. Returns through where the answer
  /// will reach if it is the former.
  @discardableResult
  package func load(_ order: LoadOrder, into effects: inout JournalEffects) -> LogIndex? {
    guard let slot = shards.slot(of: order.shard), case let places = loadable(order, slot: slot), !places.isEmpty
    else {
      effects.add(.loadFailed(order, .notHere))
      return nil
    }
    let runs = runs(of: places)
    var load = LoadInProgress(
      order: order, places: places, runs: runs,
      collector: EntryCollector(shard: order.shard, from: order.from, count: places.count))
    orderRead(&load, into: &effects)
    loads.append(load)
    return order.from + UInt64(places.count - 1)
  }

  /// The places of as many entries as are durable, wanted and within the limits, from the first wanted one on.
  private func loadable(_ order: LoadOrder, slot: Int) -> [EntryPlace] {
    var places: [EntryPlace] = []
    var payload = 0
    var blocks = 0
    var index = order.from
    while index <= order.through, let place = shards.logs[slot].place(index.rawValue), isDurable(place) {
      payload += Int(place.size)
      if place.page != places.last?.page || place.file != places.last?.file { blocks += blockBytes(of: place) }
      if !places.isEmpty, payload > order.bytesMax || blocks > Self.readBytesMax { break }
      places.append(place)
      index = index.next
    }
    return places
  }

  private func isDurable(_ place: EntryPlace) -> Bool {
    guard place.endPage != EntryPlace.unfinished, let segment = segments.segment(file: place.endFile) else {
      return false
    }
    return UInt64(place.endPage) * UInt64(JournalFormat.pageBytes) <= segment.durableEnd
  }

  private func blockBytes(of place: EntryPlace) -> Int {
    place.file == place.endFile
      ? Int(place.endPage - place.page) * JournalFormat.pageBytes : Int(place.size) + JournalFormat.blockBytesMax
  }

  private func runs(of places: [EntryPlace]) -> [LoadInProgress.Run] {
    var runs: [LoadInProgress.Run] = []
    func add(_ file: UInt32, from: UInt64, to end: UInt64) {
      guard end > from, let segment = segments.segment(file: file) else { return }
      if let last = runs.last, last.file == file, from <= last.offset + UInt64(last.count) {
        runs[runs.count - 1].count = Int(max(end, last.offset + UInt64(last.count)) - last.offset)
      } else {
        runs.append(LoadInProgress.Run(file: file, use: segment.use, offset: from, count: Int(end - from)))
      }
    }
    let page = UInt64(JournalFormat.pageBytes)
    for place in places {
      guard let begin = segments.position(file: place.file), let end = segments.position(file: place.endFile) else {
        continue
      }
      for position in begin...end {
        let segment = segments.live[position]
        let to = position == end ? UInt64(place.endPage) * page : segment.end
        add(segment.file, from: position == begin ? UInt64(place.page) * page : 0, to: to)
      }
    }
    return runs
  }

  private func orderRead(_ load: inout LoadInProgress, into effects: inout JournalEffects) {
    let run = load.runs[load.nextRun]
    load.read = nextRead
    nextRead += 1
    effects.add(.read(JournalRead(id: load.read, file: run.file, offset: run.offset, count: run.count)))
  }

  /// The bytes of a read have come; they are used before this returns.
  package func completeRead(_ id: ReadID, bytes: UnsafeRawBufferPointer, into effects: inout JournalEffects) {
    guard let position = loads.firstIndex(where: { $0.read == id }) else {
      preconditionFailure("a read in progress was reported")
    }
    var load = loads.remove(at: position)
    let run = load.runs[load.nextRun]
    precondition(bytes.count == run.count, "all bytes of the read")
    if let offset = collect(run, bytes, into: &load.collector) {
      let fault = JournalFault(kind: .damage, file: run.file, offset: offset, errno: 0)
      effects.add(.loadFailed(load.order, isUnchanged(load) ? .fault(fault) : .notHere))
      return
    }
    load.nextRun += 1
    if load.nextRun < load.runs.count {
      orderRead(&load, into: &effects)
      loads.append(load)
    } else {
      finish(load, into: &effects)
    }
  }

  /// Takes the wanted records of a run's blocks. Returns the offset of a block that is not what was written there.
  private func collect(
    _ run: LoadInProgress.Run, _ bytes: UnsafeRawBufferPointer, into collector: inout EntryCollector
  ) -> UInt64? {
    var at = 0
    while at < bytes.count {
      let offset = run.offset + UInt64(at)
      guard case .success(let block) = BlockView.verify(UnsafeRawBufferPointer(rebasing: bytes[at...])),
        block.header.directory == identity.directory, block.header.lane == identity.lane,
        block.header.use == run.use, block.header.offset == offset, collector.collect(block)
      else { return offset }
      at += block.bytes.count
    }
    return nil
  }

  private func finish(_ load: LoadInProgress, into effects: inout JournalEffects) {
    guard isUnchanged(load) else {
      effects.add(.loadFailed(load.order, .notHere))
      return
    }
    guard let entries = load.collector.complete else {
      let run = load.runs[0]
      let fault = JournalFault(kind: .damage, file: run.file, offset: run.offset, errno: 0)
      effects.add(.loadFailed(load.order, .fault(fault)))
      return
    }
    effects.add(.loaded(load.order, entries))
  }

  /// False when the entries were replaced or their segments freed while they were read.
  private func isUnchanged(_ load: LoadInProgress) -> Bool {
    guard let slot = shards.slot(of: load.order.shard) else { return false }
    return load.places.enumerated().allSatisfy { offset, place in
      shards.logs[slot].place(load.order.from.rawValue + UInt64(offset)) == place
    }
  }

  func handleReadFailed(_ id: ReadID, errno: Int32, into effects: inout JournalEffects) {
    guard let position = loads.firstIndex(where: { $0.read == id }) else {
      preconditionFailure("a read in progress was reported")
    }
    let load = loads.remove(at: position)
    let run = load.runs[load.nextRun]
    let fault = JournalFault(kind: .read, file: run.file, offset: run.offset, errno: errno)
    effects.add(.loadFailed(load.order, isUnchanged(load) ? .fault(fault) : .notHere))
  }
}

/// Puts a range of one shard's entries together from blocks in log order.
struct EntryCollector {
  let shard: ShardID
  let from: LogIndex
  private var entries: [Entry?]
  private var pending: Entry?

  init(shard: ShardID, from: LogIndex, count: Int) {
    self.shard = shard
    self.from = from
    entries = Array(repeating: nil, count: count)
  }

  /// All entries, or nil when one is missing.
  var complete: [Entry]? {
    let found = entries.compactMap { $0 }
    return found.count == entries.count ? found : nil
  }

  /// False when the block holds a record that no writer writes.
  mutating func collect(_ block: BlockView) -> Bool {
    var cursor = RecordCursor(block.payload)
    while let (header, payload) = cursor.next() {
      guard header.kind == .append, header.shard == shard else { continue }
      guard let kind = EntryKind(rawValue: header.entryKind) else { return false }
      if header.isFirst { pending = Entry(index: header.index, term: header.term, kind: kind, payload: []) }
      guard var entry = pending, entry.index == header.index, entry.term == header.term else { continue }
      pending = nil
      entry.payload.append(contentsOf: payload)
      if !header.isLast {
        pending = entry
      } else if entry.payload.count == Int(header.total), entry.index >= from,
        entry.index.rawValue - from.rawValue < UInt64(entries.count)
      {
        entries[Int(entry.index.rawValue - from.rawValue)] = entry
      }
    }
    return !cursor.isMalformed
  }
}
