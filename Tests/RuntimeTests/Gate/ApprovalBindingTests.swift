import JSON
import Testing

@testable import Domain
@testable import Runtime

struct ApprovalBindingTests {
    private static let rules = ToolRules(
        scope: TenantScope(tenantID: .generate(), slug: "acme"),
        policies: EffectivePolicies(
            folder: PolicySet(rules: [PolicyRule(id: "asks", tools: [Glob("send")], effect: .requireApproval)], hash: "h")))

    private static func call(_ target: ToolTarget, _ arguments: RawJSON) -> CallState {
        var call = CallState(RequestedCall(callID: .generate(), providerCallID: "c", name: "send", arguments: arguments.string))
        call.target = target
        call.arguments = arguments
        return call
    }

    @Test(arguments: ToolTarget.allCases)
    func `an approved call whose arguments have changed goes to no target`(target: ToolTarget) throws {
        var call = Self.call(target, RawJSON(#"{"to":"ann"}"#))
        call.approval = .approved(callHash: try #require(call.callHash))
        guard case .pass(let pass) = Self.rules.atDispatch(agent: "a", call) else {
            Issue.record("what was approved does not go out")
            return
        }
        #expect(pass.arguments.string == #"{"to":"ann"}"#)
        call.arguments = RawJSON(#"{"to":"bob"}"#)
        guard case .refused(let outcome, let decision) = Self.rules.atDispatch(agent: "a", call) else {
            Issue.record("another call goes out on its approval")
            return
        }
        #expect(decision.reason == "approval_void" && decision.effect == .deny)
        #expect(outcome.status == .denied)
    }

    @Test(arguments: ToolTarget.allCases)
    func `an approval of another call with the same arguments is none`(target: ToolTarget) throws {
        let other = Self.call(target, RawJSON(#"{"to":"ann"}"#))
        var call = Self.call(target, RawJSON(#"{"to":"ann"}"#))
        call.approval = .approved(callHash: try #require(other.callHash))
        guard case .refused(_, let decision) = Self.rules.atDispatch(agent: "a", call) else {
            Issue.record("a call goes out on another's approval")
            return
        }
        #expect(decision.reason == "approval_void")
    }
}
