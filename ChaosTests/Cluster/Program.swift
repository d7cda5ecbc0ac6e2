import CLinux
import Foundation
import Primitives

/// Runs a program to its end.
enum Program {
  /// Its standard output. What it says on standard error goes into the error when it fails.
  static func run(_ path: String, _ arguments: [String]) throws(ChaosError) -> String {
    let process = Process()
    let (output, errors) = (Pipe(), Pipe())
    process.executableURL = URL(fileURLWithPath: path)
    process.arguments = arguments
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = errors
    do { try process.run() } catch {
      throw ChaosError(message: "\(path) cannot be started: \(error)", isUsage: true)
    }
    // Both are short: neither pipe fills up while the other is read.
    let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    let complaint = String(decoding: errors.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      let name = URL(fileURLWithPath: path).lastPathComponent
      throw ChaosError(
        message: "\(name) \(arguments.first ?? "") ended with \(process.terminationStatus): \(complaint)")
    }
    return text
  }
}

/// Ports that are free now, below those that the kernel gives to outgoing connections: a node that is down for a while
/// finds its port still free.
enum FreePorts {
  static func choose(_ count: Int, seed: UInt64) throws(ChaosError) -> [UInt16] {
    var random = SeededRandom(seed: seed)
    for _ in 0..<200 {
      let first = UInt16(20_000 + random.below(1200) * 10)
      let ports = (0..<UInt16(count)).map { first + $0 }
      if ports.allSatisfy(isFree) { return ports }
    }
    throw ChaosError(message: "no \(count) free ports between 20000 and 32000 on 127.0.0.1", isUsage: true)
  }

  private static func isFree(_ port: UInt16) -> Bool {
    let descriptor = socket(AF_INET, fs_sock_stream, 0)
    guard descriptor >= 0 else { return false }
    defer { close(descriptor) }
    var address = sockaddr_in()
    address.sin_family = sa_family_t(AF_INET)
    address.sin_port = port.bigEndian
    address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
    return withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        bind(descriptor, $0, socklen_t(MemoryLayout<sockaddr_in>.size)) == 0
      }
    }
  }
}
