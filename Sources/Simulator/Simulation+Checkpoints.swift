import Node
import Primitives
import Store

/// A checkpoint's order under way.
enum CheckpointWrite {
  case grow(UInt64)
  case shrink(UInt64)
  case page(PageID, offset: UInt64, bytes: [UInt8])
  case sync
  case superblock(offset: UInt64, bytes: [UInt8])
}

extension Simulation {
  func performCheckpoint(_ order: CheckpointEffect, of machine: Machine) {
    guard let node = machine.node else { return }
    if !machine.isCheckpointing, !node.isBetweenEntries { counters.count(.checkpointInEntry) }
    switch order {
    case .grow, .shrink: break
    default: machine.isCheckpointing = true
    }
    checkpointOrdered(machine)
    switch order {
    case .grow(let bytes): complete(.checkpointWrite(.grow(bytes)), of: machine)
    case .shrink(let bytes): complete(.checkpointWrite(.shrink(bytes)), of: machine)
    case .writePage(let page, let offset):
      complete(.checkpointWrite(.page(page, offset: offset, bytes: [UInt8](node.bytes(of: page)))), of: machine)
    case .sync: complete(.checkpointWrite(.sync), of: machine)
    case .writeSuperblock(let page, let offset):
      let bytes = [UInt8](node.bytes(of: page))
      machine.inFlight.append((Machine.pagesName, offset, bytes, UInt64.max))
      complete(.checkpointWrite(.superblock(offset: offset, bytes: bytes)), of: machine)
    case .awaitRoom, .awaitLog, .finished, .failed:
      preconditionFailure("the node keeps what the store says to it")
    }
  }

  func checkpointWritten(_ machine: Machine, _ write: CheckpointWrite) {
    switch write {
    case .grow where machine.isDiskFull:
      counters.count(.growthRefused)
      tell(machine, .checkpoint(.failed(.grow, errno: Simulation.noRoom)))
    case .grow(let bytes):
      machine.disk.create(Machine.pagesName, bytes: Int(bytes))
      tell(machine, .checkpoint(.grown))
    case .shrink(let bytes):
      machine.disk.shrink(Machine.pagesName, to: Int(bytes))
      tell(machine, .checkpoint(.shrunk))
    case .page(let page, let offset, let bytes):
      machine.disk.write(Machine.pagesName, offset: offset, bytes, durable: false)
      tell(machine, .checkpoint(.written(page)))
    case .sync:
      machine.disk.sync(Machine.pagesName)
      tell(machine, .checkpoint(.synced))
    case .superblock(let offset, let bytes):
      machine.inFlight.removeAll { $0.id == UInt64.max }
      machine.disk.write(Machine.pagesName, offset: offset, bytes, durable: true)
      counters.checkpoints += 1
      machine.isCheckpointing = false
      tell(machine, .checkpoint(.superblockWritten))
    }
  }
}
