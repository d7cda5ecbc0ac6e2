import Primitives
import Testing

@Suite struct ClusterNameTests {
  @Test(arguments: ["a", "demo", "shop-2", "7", "a-", String(repeating: "a", count: 63)])
  func plainNamesAreTaken(name: String) { #expect(ClusterName.isValid(name)) }

  @Test(arguments: ["", "Demo", "a b", "a_b", "-a", "ü", "a.b", String(repeating: "a", count: 64)])
  func othersAreNot(name: String) { #expect(!ClusterName.isValid(name)) }
}
