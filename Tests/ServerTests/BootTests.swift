import Foundation
import Primitives
import Ring
import TestNodes
import Testing
import Transport

@testable import Server

/// What keeps a node from starting, and that nothing is changed by it.
@Suite(.serialized) struct BootTests {
  private let cluster: TestCluster

  init() throws { cluster = try TestCluster(nodes: 1) }

  private func refusal(_ changes: [(Setting, String)] = []) throws -> String {
    defer { cluster.destroy() }
    let before = try contents()
    try cluster.start(1, changes: changes)
    guard case .failure(let refusal)? = cluster.node(1).waitForEnd() else {
      Issue.record("it is refused")
      return ""
    }
    #expect(try contents() == before, "nothing was changed")
    return refusal.description
  }

  /// Every file below the node's data, with its bytes.
  private func contents() throws -> [String: Data] {
    var found: [String: Data] = [:]
    let data = cluster.path(1, "data")
    for name in try FileManager.default.subpathsOfDirectory(atPath: data) {
      found[name] = FileManager.default.contents(atPath: data + "/" + name)
    }
    return found
  }

  private func writeNode(_ certificate: Credentials) throws {
    for file in ["node.pem", "node.key"] { try FileSystem.remove(cluster.path(1, file)) }
    try certificate.write(certificateFile: cluster.path(1, "node.pem"), keyFile: cluster.path(1, "node.key"))
  }

  @Test func theCertificateOfAnotherNodeIsRefused() throws {
    try writeNode(cluster.nodeAuthority.issueNode(cluster: cluster.id, id: NodeID(2)))
    #expect(try refusal().hasSuffix("node.pem: the certificate is that of n2, this is n1"))
  }

  @Test func aClientsCertificateIsRefused() throws {
    try writeNode(cluster.nodeAuthority.issueClient(user: "alice"))
    #expect(try refusal().contains("no node's certificate"))
  }

  @Test func anExpiredCertificateIsRefused() throws {
    let past = CertificateAuthority.Validity(from: -7200, until: -3600)
    try writeNode(cluster.nodeAuthority.issueNode(cluster: cluster.id, id: NodeID(1), validity: past))
    #expect(try refusal().contains("expired"))
  }

  @Test func theCertificateOfAnotherClusterIsRefused() throws {
    try writeNode(cluster.nodeAuthority.issueNode(cluster: String(repeating: "a", count: 32), id: NodeID(1)))
    #expect(try refusal().contains("belongs to cluster \(cluster.id)"))
  }

  @Test func aKeyThatIsMissingIsNamed() throws {
    try FileSystem.remove(cluster.path(1, "node.key"))
    #expect(try refusal().contains("node.key"))
  }

  @Test func aPeerThatCannotBeResolvedIsNamed() throws {
    #expect(try refusal([(.peers, "n1=127.0.0.1:1,n2=no.such.host.invalid:1")]).contains("no.such.host.invalid"))
  }

  @Test func aDirectoryThatIsMissingEmptyOrForeignIsRefused() throws {
    let other = cluster.path(1, "other")
    for word in ["there is no data directory", "is empty", "no data directory of FileStore"] {
      #expect(try Boot.checkRefusal(cluster.configuration(1, [(.data, other)])).contains(word))
      if word.contains("there is no") { try FileSystem.makeDirectory(other) }
      if word.contains("empty") { try FileSystem.replace(other + "/notes.txt", with: [1]) }
    }
    #expect(try FileSystem.list(other) == ["notes.txt"])
    cluster.destroy()
  }

  @Test func theDataOfAnotherNodeIsRefused() throws {
    let three = try TestCluster(nodes: 3)
    defer { three.destroy() }
    let text = try Boot.checkRefusal(three.configuration(1, [(.data, three.path(2, "data"))]))
    #expect(text.contains("belongs to node n2"))
    cluster.destroy()
  }

  @Test func aDirectoryInUseIsRefused() throws {
    try cluster.start()
    #expect(try cluster.client().waitUntilReady(1))
    let second = try RunningNode(cluster.configuration(1), log: cluster.path(1, "second"))
    guard case .failure(let refusal)? = second.waitForEnd() else {
      Issue.record("it is refused")
      return
    }
    #expect(refusal.description.hasSuffix("another filestored uses it"))
    cluster.destroy()
  }

  @Test func aPortInUseIsNamedWithItsHolder() throws {
    defer { cluster.destroy() }
    let listener = try Listener(SocketAddress("127.0.0.1:\(cluster.ports[0])"))
    try cluster.start()
    guard case .failure(let refusal)? = cluster.node(1).waitForEnd() else {
      Issue.record("it is refused")
      return
    }
    #expect(refusal.description.hasPrefix("127.0.0.1:\(listener.address.port) is taken by "))
    #expect(refusal.description.contains("process \(getpid())"))
  }

  @Test func aLogThatIsDamagedIsRefusedWithItsPlace() throws {
    try cluster.start()
    let client = try cluster.client()
    try #require(client.waitUntilReady(1))
    let table = #"{"name":"t","columns":[{"name":"k","type":"text"}],"primary_key":["k"]}"#
    #expect(try client.ask(.post, "/v1/tables", table).status == 201)
    #expect(cluster.node(1).stop() == .success(0))
    let segment = cluster.path(1, "data/lane-0/log/00000001.log")
    let file = try File(segment, .write)
    // The second block: what follows proves that it was durable.
    [UInt8](repeating: 0x55, count: 64).withUnsafeBytes { bytes in
      do throws(SystemError) { try file.write(bytes, at: 4096 + 100) } catch { Issue.record("\(error)") }
    }
    let log = try FileSystem.read(segment, limit: 1 << 30)
    let boots = try FileSystem.read(cluster.path(1, "data/boots"))
    try cluster.startAgain(1)
    guard case .failure(let refusal)? = cluster.node(1).waitForEnd() else {
      Issue.record("it is refused")
      return
    }
    #expect(refusal.description.contains("the log is damaged: 00000001.log at offset 4096"), "\(refusal)")
    #expect(try FileSystem.read(cluster.path(1, "data+/lane-0/log/00000001.log"), limit: 1 << 30) == log)
    #expect(try FileSystem.read(cluster.path(1, "data+/boots")) == boots, "a start that is refused is not counted")
    cluster.destroy()
  }

  @Test(arguments: [[], [1, 2, 3], Array("FSboots1 of another kind, long enough to be read".utf8)])
  func aListOfStartsThatIsDamagedIsRefused(bytes: [UInt8]) throws {
    try FileSystem.replace(cluster.path(1, "data/LOCK"), with: [])
    try FileSystem.replace(cluster.path(1, "data/boots"), with: bytes)
    #expect(try refusal().contains("the list of starts is damaged"))
  }

  @Test func aCheckChangesNothing() throws {
    defer { cluster.destroy() }
    let before = try contents()
    try Boot.check(cluster.configuration(1))
    #expect(try contents() == before)
    let yaml = cluster.path(1, "config.yaml")
    try FileSystem.replace(yaml, with: Array(try cluster.configuration(1).text.utf8))
    #expect(runNode(config: yaml, flags: [], checkOnly: true) == 0)
    #expect(runNode(config: yaml, flags: [(.data, "/nowhere")], checkOnly: true) == 1)
    #expect(runNode(config: yaml, flags: [(.cores, "2")], checkOnly: true) == 2)
    #expect(runNode(config: cluster.path(1, "none.yaml"), flags: [], checkOnly: true) == 2)
    #expect(try contents() == before)
  }
}

extension Boot {
  /// Why a node with these settings would not start.
  static func checkRefusal(_ configuration: Configuration) -> String {
    do throws(StartRefusal) {
      try check(configuration)
      return ""
    } catch { return error.description }
  }
}
