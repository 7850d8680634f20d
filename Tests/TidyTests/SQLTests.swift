import Testing

/// Row-level security is the second wall; the first is that each statement names its tenant.
struct SQLTests {
    /// The tables of migrations that have a column tenant_id.
    static func tenantTables() throws -> Set<String> {
        var tables: Set<String> = []
        for file in try SourceTree.files("migrations", suffix: ".sql") {
            var table: String?
            for line in file.lines {
                if line.hasPrefix("CREATE TABLE hsafa.") {
                    let name = line.dropFirst("CREATE TABLE hsafa.".count).prefix { $0.isLetter || $0.isNumber || $0 == "_" }
                    // A partition takes its columns from its parent.
                    table = line.contains("PARTITION OF") ? nil : String(name)
                } else if line.hasPrefix(")") {
                    table = nil
                } else if let table, line.drop(while: { $0 == " " }).hasPrefix("tenant_id ") {
                    tables.insert(table)
                }
            }
        }
        return tables
    }

    struct Literal {
        let line: Int
        let text: String
    }

    /// String literals, also those over several lines, with what is interpolated as it stands.
    static func literals(in file: SourceTree.File) -> [Literal] {
        var found: [Literal] = []
        var block: (line: Int, text: String)?
        for (number, line) in file.lines.enumerated() {
            if let open = block {
                if line.contains("\"\"\"") {
                    found.append(Literal(line: open.line, text: open.text))
                    block = nil
                } else {
                    block = (open.line, open.text + line + "\n")
                }
            } else if line.has("\"\"\""), line.code.hasSuffix("\"\"\"") {
                block = (number + 1, "")
            } else if line.has("\"") {
                let pieces = line.code.split(separator: "\"", omittingEmptySubsequences: false)
                for (index, piece) in pieces.enumerated() where index % 2 == 1 {
                    found.append(Literal(line: number + 1, text: String(piece)))
                }
            }
        }
        return found
    }

    /// A name as a whole word.
    private static func mentions(_ text: String, table: String) -> Bool {
        text.ranges(of: "hsafa." + table).contains { range in
            guard range.upperBound < text.endIndex else { return true }
            let next = text[range.upperBound]
            return !next.isLetter && !next.isNumber && next != "_" && next != "("
        }
    }

    /// Rows that are written and read by no other condition: the tenant is their first column.
    private static func insertsTenantFirst(_ text: String) -> Bool {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard let into = words.firstIndex(of: "INTO") else { return false }
        return words[into...].dropFirst(2).prefix(3).contains { $0.hasPrefix("(tenant_id") }
    }

    @Test(arguments: [
        ("SELECT tenant_id FROM hsafa.runs WHERE run_id = $1", false), ("SELECT status FROM hsafa.runs WHERE tenant_id = $1", true),
        ("INSERT INTO hsafa.runs\n    (tenant_id, run_id) VALUES ($1, $2)", true),
        ("INSERT INTO hsafa.runs AS r (tenant_id) VALUES ($1)", true),
        ("INSERT INTO hsafa.runs (run_id) VALUES ($1) RETURNING tenant_id", false),
    ])
    func `a statement that only mentions the tenant is not held to it`(_ text: String, _ isHeld: Bool) {
        #expect((text.contains("tenant_id = ") || Self.insertsTenantFirst(text)) == isHeld)
    }

    @Test func `the tenant tables are found`() throws {
        let tables = try Self.tenantTables()
        #expect(
            tables.isSuperset(of: ["tenants", "api_keys", "agents", "agent_versions", "runs", "run_events", "tool_calls", "tool_results"]))
    }

    @Test func `every statement over a tenant's table names the tenant`() throws {
        let tables = try Self.tenantTables()
        let verbs = ["SELECT", "INSERT", "UPDATE", "DELETE"]
        var statements = 0
        for file in try SourceTree.sources.get() where file.module == "Storage" {
            for literal in Self.literals(in: file) where verbs.contains(where: literal.text.contains) {
                guard tables.contains(where: { Self.mentions(literal.text, table: $0) }) else { continue }
                statements += 1
                #expect(
                    literal.text.contains("tenant_id = ") || Self.insertsTenantFirst(literal.text),
                    "\(file.path):\(literal.line) is not held to one tenant")
            }
        }
        // A check that finds nothing to check has lost its way.
        #expect(statements > 20)
    }

    @Test func `SQL over the gateway's tables lives in the storage module`() throws {
        for file in try SourceTree.sources.get() where file.module != "Storage" {
            for (number, line) in file.lines.enumerated() where line.has("hsafa.") {
                let speaksSQL = ["SELECT ", "FROM ", "INTO ", "UPDATE "].contains { line.code.contains($0) }
                #expect(!speaksSQL, "\(file.path):\(number + 1) speaks SQL")
            }
        }
    }

    @Test func `a tenant's scope is made where a tenant is proven, and nowhere above`() throws {
        var makers: Set<String> = []
        for file in try SourceTree.sources.get() {
            for line in file.lines where line.has("TenantScope(") && !line.code.contains("struct TenantScope") {
                makers.insert(file.module)
            }
        }
        // Storage makes one from a row: a key's, a claimed run's, a device's, a token's; the commands on the machine speak for the owner.
        #expect(makers == ["Storage", "hsafa-gateway"], "\(makers)")
    }

    @Test func `every tenant table has its walls`() throws {
        let sql = try SourceTree.files("migrations", suffix: ".sql").map(\.text).joined()
        for table in try Self.tenantTables() { #expect(sql.contains("CALL hsafa.guard_tenant_table('\(table)')"), "\(table)") }
    }
}
