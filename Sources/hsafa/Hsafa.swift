import ArgumentParser

@main
struct Hsafa: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "hsafa",
        abstract: "Publish agents to an hsafa gateway, run them, watch them, and be a device for them.",
        discussion: """
            A first round, against a gateway on this machine:

              hsafa init my-agent            write agent.json and tools.json
              hsafa validate agent.json      check it without a gateway
              hsafa publish agent.json       create the agent, version 1
              hsafa device token --label zone=demo --auto-approve
              hsafa device enroll --token hse_… --name laptop
              hsafa device connect --tools tools.json &
              hsafa run my-agent "What is in my notes?"

            Who may do what, and who did: hsafa keys, hsafa policies, hsafa approvals, hsafa audit; for the platform's admins hsafa admin.
            For pages that watch a run: hsafa tokens.

            WHICH GATEWAY, WHICH KEY
              1. --url and --api-key
              2. HSAFA_URL and HSAFA_API_KEY
              3. .hsafa/credentials in this folder or one above it, with the lines
                   HSAFA_URL=http://127.0.0.1:3000
                   HSAFA_API_KEY=hsk_…
                 A key of that file is sent only to the URL of that file.
              4. http://127.0.0.1:3000, without a key

            EXIT CODES
              0   done; a watched run completed
              1   failed; a watched run failed
              3   no key, a wrong key, or a scope is missing
              4   not found
              5   the gateway cannot be reached or cannot serve
              6   a watched run was canceled
              64  wrong usage

            Colours appear on a terminal only, and never when NO_COLOR is set.
            """,
        version: "1.0.0",
        subcommands: [
            Init.self, Validate.self, Publish.self, List.self, Pull.self, Run.self, Watch.self, DeviceGroup.self, KeysGroup.self,
            PoliciesGroup.self, ApprovalsGroup.self, TokensGroup.self, SecretsGroup.self, AuditCommand.self, AdminGroup.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var asynchronous = command as? any AsyncParsableCommand {
                try await asynchronous.run()
            } else {
                try command.run()
            }
        } catch {
            if let failure = Failure(error) {
                Terminal.error.line(Terminal.error.red("error: ") + failure.message)
                exit(withError: ExitCode(failure.exitCode))
            }
            exit(withError: error)
        }
    }
}
