import Primitives

/// One machine's disk: named files whose writes become durable as those of a real one do.
///
/// - A durable write (O_DSYNC) in flight at a crash: any subset of its sectors is on the disk.
/// - A plain write that was completed but not synced: each of its sectors may be there or not.
/// - What a completed durable write or a sync covered stays.
///
/// A sector is 512 bytes and never torn. A read sees what was completed.
struct VirtualDisk {
  static let sectorBytes = 512

  private struct VirtualFile {
    var bytes: [UInt8]
    /// What stood there before each completed write since the last sync, oldest first.
    var undo: [(offset: Int, old: [UInt8])] = []
  }

  private var names: [String] = []
  private var files: [VirtualFile] = []
  /// Bytes written, for the counters of a run.
  private(set) var bytesWritten = 0

  private func index(_ name: String) -> Int? { names.firstIndex(of: name) }

  func exists(_ name: String) -> Bool { index(name) != nil }
  func size(_ name: String) -> Int { index(name).map { files[$0].bytes.count } ?? 0 }
  var allNames: [String] { names }

  mutating func create(_ name: String, bytes count: Int) {
    if let index = index(name) {
      if files[index].bytes.count < count {
        files[index].bytes.append(contentsOf: [UInt8](repeating: 0, count: count - files[index].bytes.count))
      }
      return
    }
    names.append(name)
    files.append(VirtualFile(bytes: [UInt8](repeating: 0, count: count)))
  }

  mutating func remove(_ name: String) {
    guard let index = index(name) else { return }
    names.remove(at: index)
    files.remove(at: index)
  }

  /// Writes a file so that it is durable with all its bytes: what `init` does.
  mutating func install(_ name: String, _ bytes: [UInt8]) {
    create(name, bytes: 0)
    guard let index = index(name) else { return }
    files[index].bytes = bytes
    files[index].undo = []
  }

  func read(_ name: String, offset: UInt64, count: Int) -> [UInt8] {
    guard let index = index(name) else { return [] }
    let start = min(Int(offset), files[index].bytes.count)
    let end = min(start + count, files[index].bytes.count)
    return Array(files[index].bytes[start..<end])
  }

  /// The write is completed. Not durable before a sync unless `durable`.
  mutating func write(_ name: String, offset: UInt64, _ bytes: [UInt8], durable: Bool) {
    guard let index = index(name) else { preconditionFailure("a write to a file that exists") }
    let start = Int(offset)
    grow(index, to: start + bytes.count)
    bytesWritten += bytes.count
    if !durable { files[index].undo.append((start, Array(files[index].bytes[start..<start + bytes.count]))) }
    files[index].bytes.replaceSubrange(start..<start + bytes.count, with: bytes)
  }

  /// Rot: of what is on the disk, synced or not.
  mutating func flip(_ name: String, _ offset: Int, _ mask: UInt8) {
    guard let index = index(name), offset < files[index].bytes.count else { return }
    files[index].bytes[offset] ^= mask
  }

  /// What was not synced behind the new end is nobody's any more.
  mutating func shrink(_ name: String, to count: Int) {
    guard let index = index(name), files[index].bytes.count > count else { return }
    files[index].undo.removeAll { $0.offset + $0.old.count > count }
    files[index].bytes.removeLast(files[index].bytes.count - count)
  }

  mutating func sync(_ name: String) {
    guard let index = index(name) else { return }
    files[index].undo.removeAll()
  }

  /// The power fails: unsynced writes are lost sector by sector, writes in flight arrive sector by sector. True when a
  /// write in flight arrived in part.
  mutating func crash(inFlight: [(name: String, offset: UInt64, bytes: [UInt8])], random: inout SeededRandom) -> Bool {
    for index in files.indices {
      for (offset, old) in files[index].undo.reversed() { _ = keepSome(of: old, at: offset, in: index, &random) }
      files[index].undo.removeAll()
    }
    var isTorn = false
    for write in inFlight {
      guard let index = index(write.name) else { continue }
      grow(index, to: Int(write.offset) + write.bytes.count)
      if keepSome(of: write.bytes, at: Int(write.offset), in: index, &random) { isTorn = true }
    }
    return isTorn
  }

  /// All, none, or each sector for itself. True when some sectors were kept and some not.
  private mutating func keepSome(
    of bytes: [UInt8], at offset: Int, in index: Int, _ random: inout SeededRandom
  ) -> Bool {
    let mode = random.below(4)
    guard mode != 0 else { return false }
    var at = 0
    var kept = 0
    while at < bytes.count {
      let count = min(Self.sectorBytes, bytes.count - at)
      if mode == 1 || random.chance(1, outOf: 2) {
        files[index].bytes.replaceSubrange(offset + at..<offset + at + count, with: bytes[at..<at + count])
        kept += count
      }
      at += count
    }
    return kept > 0 && kept < bytes.count
  }

  private mutating func grow(_ index: Int, to count: Int) {
    guard files[index].bytes.count < count else { return }
    files[index].bytes.append(contentsOf: [UInt8](repeating: 0, count: count - files[index].bytes.count))
  }
}
