import Primitives
import Tables
import Testing

@testable import Node

@Suite struct RevocationTests {
  /// A node that was told to revoke this.
  private func node(revoking kind: Revocation.Kind, _ serial: String) throws -> Node {
    let world = try Harness(1)
    let machine = try world.elect()
    #expect(world.reply(world.request(machine, .revoke(kind: kind, serial: serial)))?.status == 204)
    return machine.node
  }

  @Test(arguments: ["ab12ef", "AB12EF", "aB12eF"])
  func aSerialIsRevokedInWhateverCaseItIsGiven(given: String) throws {
    for kind in [Revocation.Kind.certificate, .token] {
      let node = try node(revoking: kind, given)
      for presented in ["ab12ef", "AB12EF"] { #expect(node.isRevoked(kind, serial: presented), "\(presented)") }
      #expect(!node.isRevoked(kind, serial: "ab12e"))
      #expect(!node.isRevoked(kind == .token ? .certificate : .token, serial: "ab12ef"))
    }
  }

  @Test func aCertificatesSerialIsANumber() throws {
    let node = try node(revoking: .certificate, "00AB12")
    #expect(node.isRevoked(.certificate, serial: "ab12"))
    #expect(!node.isRevoked(.certificate, serial: "b12"))
  }

  @Test func aTokensSerialIsAText() throws {
    let node = try node(revoking: .token, "00ab12")
    #expect(node.isRevoked(.token, serial: "00ab12"))
    #expect(!node.isRevoked(.token, serial: "ab12"))
  }

  @Test func anEmptySerialIsRefused() throws {
    let world = try Harness(1)
    let machine = try world.elect()
    let reply = world.reply(world.request(machine, .revoke(kind: .certificate, serial: "")))
    #expect(reply?.problem?.code == .invalidArgument)
  }
}
