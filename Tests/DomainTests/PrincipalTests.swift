import Domain
import Testing

struct PrincipalTests {
    @Test func `a principal without a scope is told which one it lacks`() throws {
        let scope = TenantScope(tenantID: .generate(), slug: "acme")
        let principal = Principal(keyID: .generate(), scope: scope, scopes: [.runsRead], isAdmin: false, expiresAt: nil)
        try principal.require(.runsRead)
        let error = #expect(throws: GatewayError.self) { try principal.require(.runsWrite) }
        #expect(error?.status == 403)
        #expect(error?.detail.contains("runs:write") == true)
        #expect(throws: GatewayError.self) { try principal.requireAdmin() }
        // An admin's key is for its own part of the API, whatever it holds.
        let admin = Principal(keyID: .generate(), scope: scope, scopes: [.runsRead], isAdmin: true, expiresAt: nil)
        #expect(throws: GatewayError.self) { try admin.require(.runsRead) }
        #expect(throws: Never.self) { try admin.requireAdmin() }
    }

    @Test func `nobody hands out more than he has, neither scopes nor time`() throws {
        let scope = TenantScope(tenantID: .generate(), slug: "acme")
        let expiry = Timestamp.now().adding(seconds: 60)
        func principal(_ expiresAt: Timestamp?, isAdmin: Bool = false) -> Principal {
            Principal(keyID: .generate(), scope: scope, scopes: [.runsRead, .keysWrite], isAdmin: isAdmin, expiresAt: expiresAt)
        }
        try principal(nil).requireToHold([.runsRead], until: nil)
        try principal(expiry).requireToHold([.runsRead, .keysWrite], until: expiry)
        func code(_ principal: Principal, _ scopes: Set<Scope>, _ until: Timestamp?) -> String? {
            do throws(GatewayError) {
                try principal.requireToHold(scopes, until: until)
                return nil
            } catch { return error.code }
        }
        #expect(code(principal(nil), [.runsRead, .runsWrite], nil) == "scopes_beyond_issuer")
        #expect(code(principal(expiry), [.runsRead], nil) == "expiry_beyond_issuer")
        #expect(code(principal(expiry), [.runsRead], expiry.adding(seconds: 1)) == "expiry_beyond_issuer")
        #expect(code(principal(expiry, isAdmin: true), [.runsWrite], nil) == nil)
    }
}
