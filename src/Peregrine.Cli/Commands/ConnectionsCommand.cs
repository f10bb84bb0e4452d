// "peregrine connections": the TCP connections of a running network, printed as ss(8) prints a kernel's with -ti.
using System.CommandLine;
using System.Text.Json;

namespace Peregrine.Cli.Commands;

internal static class ConnectionsCommand
{
    private static readonly string[] s_terms = ["state", "src", "dst", "sport", "dport"];

    internal static Command Create()
    {
        var words = new Argument<string[]>("filter")
        {
            Description = "The network's name or the path of its control socket, when several run; then which connections: state NAME, src ADDRESS, dst ADDRESS, sport PORT, dport PORT",
            Arity = ArgumentArity.ZeroOrMore,
        };
        var all = new Option<bool>("--all", "-a") { Description = "Listeners, half-open connections and those in TIME-WAIT as well, as \"state all\" does" };
        var json = new Option<bool>("--json") { Description = "Print the answer as one line of JSON" };
        var command = new Command("connections",
            "Prints the connections of a running network as 'ss -ti' does.\n\nExamples:\n"
            + "  peregrine connections                             of the only network that runs\n"
            + "  peregrine connections web state established       of the network \"web\"\n"
            + "  peregrine connections --all                       listeners, half-open ones and TIME-WAIT too; also: state listening, state syn-recv\n"
            + "  peregrine connections dst 192.0.2.0/24 sport 80\n"
            + "  peregrine connections dst [2001:db8::1]:443 --json")
        {
            words, all, json,
        };
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetValue(words)!, parsed.GetValue(all), parsed.GetValue(json), cancel));
        return command;
    }

    private static async Task<int> RunAsync(string[] words, bool all, bool json, CancellationToken cancel)
    {
        var isNamed = words.Length > 0 && !s_terms.Contains(words[0]);
        var filter = string.Join(' ', words.Skip(isNamed ? 1 : 0));
        if (all) filter += " state all";
        var answer = await ControlClient.AskAsync(isNamed ? words[0] : null, "connections", filter, cancel).ConfigureAwait(false);
        if (json)
        {
            Console.WriteLine(answer);
            return 0;
        }
        using var document = JsonDocument.Parse(answer);
        Console.WriteLine(ConnectionText.Heading);
        foreach (var connection in document.RootElement.GetProperty("connections").EnumerateArray())
        {
            Console.WriteLine(ConnectionText.FirstLine(connection));
            if (ConnectionText.Details(connection) is { } details) Console.WriteLine(details);
        }
        if (!document.RootElement.GetProperty("complete").GetBoolean()) Console.Error.WriteLine("There are more: narrow them down by a filter.");
        return 0;
    }
}
