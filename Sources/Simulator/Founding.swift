import Journal
import Node
import Primitives
import Raft
import Store

/// A cluster as `init` founds it: identities for everybody.
struct FoundedCluster {
  let cluster: [UInt8]
  let identities: [StoreIdentity]
  let founders: Configuration

  init(nodes: Int, random: inout SeededRandom) {
    var bytes: [UInt8] = []
    for _ in 0..<16 { bytes.append(UInt8(truncatingIfNeeded: random.next())) }
    cluster = bytes
    var identities: [StoreIdentity] = []
    for index in 0..<nodes {
      identities.append(
        StoreIdentity(
          cluster: bytes, node: NodeID(UInt32(index + 1)), lane: LaneID(0), incarnation: Incarnation(random.next()),
          directory: random.next()))
    }
    self.identities = identities
    founders = Configuration(voters: identities.map { Member(node: $0.node, incarnation: $0.incarnation) })
  }
}

/// A machine's disk, as a starting process reads it.
final class DiskFiles: LaneFiles {
  private let disk: VirtualDisk
  let files: [JournalFile]
  let pagesBytes: UInt64

  init(_ disk: VirtualDisk) {
    self.disk = disk
    pagesBytes = UInt64(disk.size(Machine.pagesName))
    files = disk.allNames.compactMap { name in
      guard name.hasPrefix("log/"), let number = UInt32(name.dropFirst(4)) else { return nil }
      return JournalFile(file: number, bytes: UInt64(disk.size(name)))
    }
  }

  func read(file: UInt32, offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    try copy(disk.read(Machine.logName(file), offset: offset, count: target.count), into: target)
  }

  func readPages(offset: UInt64, into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    try copy(disk.read(Machine.pagesName, offset: offset, count: target.count), into: target)
  }

  private func copy(_ bytes: [UInt8], into target: UnsafeMutableRawBufferPointer) throws(JournalReadError) {
    guard bytes.count == target.count else { throw JournalReadError(errno: 5) }
    target.copyBytes(from: bytes)
  }
}

extension Simulation {
  static let bootsName = "boots"

  func format(_ machine: Machine) {
    let identity = cluster.identities[machine.index]
    machine.disk.install(Machine.pagesName, formatLane(identity: identity, founders: cluster.founders))
    machine.disk.install(Simulation.bootsName, Boots(directory: identity.directory).encoded())
  }

  /// Starts a process on what its disk holds. That it opens is one of the promises checked.
  func start(_ machine: Machine) {
    machine.life += 1
    do {
      let files = DiskFiles(machine.disk)
      let identity = try readIdentity(files)
      var boots = try Boots(decoding: machine.disk.read(Simulation.bootsName, offset: 0, count: 1 << 20))
      let boot = boots.add(nonce: random.next())
      machine.node = try Node.open(
        settings(machine), identity: identity, boot: boot, opened: boots.opened, files: files,
        storeLimits: storeLimits(),
        journalSettings: journalSettings(), now: machine.clock(now))
      machine.disk.install(Simulation.bootsName, boots.encoded())
      machine.boots = boots
      observeStart(machine, try recoveredEntries(machine, identity, boot, files))
    } catch {
      return fail("a crashed node starts again", "\(machine.id): \(error)")
    }
    story.tell(now, "\(machine.id) starts")
    machine.node?.checkInvariants()
    machine.turnsSinceWalk = 0
    scheduleTurn(machine)
    openLinks(of: machine)
  }

  /// Once its start block is durable, a start is remembered.
  func noteOpened(_ machine: Machine, _ start: OpenedStart?) {
    guard let start, machine.boots?.opened != start else { return }
    machine.boots?.noteOpened(start)
    if let boots = machine.boots { machine.disk.install(Simulation.bootsName, boots.encoded()) }
  }

  /// All entries after the checkpoint, however many of them the node keeps in memory.
  private func recoveredEntries(
    _ machine: Machine, _ identity: StoreIdentity, _ boot: Boots.Boot, _ files: DiskFiles
  ) throws -> [Entry] {
    let applied = machine.node?.appliedIndex ?? .zero
    let recovered = try recoverJournal(
      files, identity: JournalIdentity(directory: identity.directory, lane: identity.lane, boot: boot.number),
      checkpoints: [ShardCheckpoint(shard: Node.onlyShard, appliedIndex: applied, hardState: nil)])
    return recovered.shards.first { $0.shard == Node.onlyShard }?.entries ?? []
  }

  private func settings(_ machine: Machine) -> NodeSettings {
    var limits = NodeLimits()
    // In some seeds a checkpoint follows the other.
    limits.checkpointLogBytes = options.seed % 5 == 2 ? 16 << 10 : 192 << 10
    // In some, applying takes many turns, or a start leaves most of its log on disk.
    if options.seed % 7 == 3 { limits.applyBytesMax = 3 << 10 }
    if options.seed % 3 == 0 {
      (limits.recoveredBytesMax, limits.backlogReadBytes) = (Int(options.seed % 2) << 12, 700)
    }
    // In most, a checkpoint's pages are written one by one, as log and time go on.
    if options.seed % 4 != 1 { limits.checkpointPagesAtOnce = 1 }
    var settings = NodeSettings(
      clusterName: "simulated", clusterID: "00", node: machine.id,
      addresses: machines.map { (node: $0.id, address: "\($0.id)") }, version: "0", limits: limits, seed: random.next())
    // Not at all in some seeds; otherwise so short that much is dropped, or so long that much is there.
    settings.historyRetention = .seconds([2, 0, 10, 60][Int(options.seed % 4)])
    settings.scrubEvery = .seconds(1 + options.seed % 3)
    return settings
  }

  /// A share of seeds without misses, the others with many.
  var missChance: UInt64 { options.seed % 4 == 0 ? 0 : 20 + options.seed % 7 * 20 }

  private func storeLimits() -> StoreLimits {
    var limits = StoreLimits(framesMax: 2048, pagesMax: 2048)
    limits.growPages = 16
    limits.missChance = missChance
    limits.missSeed = random.next()
    return limits
  }

  private func journalSettings() -> JournalSettings {
    var settings = JournalSettings()
    settings.segmentBytes = 512 << 10
    settings.logBytesMax = 32 << 20
    settings.reserveBytes = 2 << 20
    return settings
  }
}
