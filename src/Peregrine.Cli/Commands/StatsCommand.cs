// "peregrine stats": asks a running network over its control socket and prints the answer, as a table or as it came.
using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using Spectre.Console;

namespace Peregrine.Cli.Commands;

internal static class StatsCommand
{
    internal static Command Create()
    {
        var network = new Argument<string?>("network") { Description = "The network's name, or the path of its control socket; needed when several run", DefaultValueFactory = static _ => null };
        var what = new Option<string>("--get") { Description = "counters, connections, memory or info", DefaultValueFactory = static _ => "counters" };
        what.AcceptOnlyFromAmong("counters", "connections", "memory", "info");
        var json = new Option<bool>("--json") { Description = "Print the answer as one line of JSON" };
        var nstat = new Option<bool>("--nstat") { Description = "Print the counters that nstat(8) has too, by its names" };
        var all = new Option<bool>("--all") { Description = "Print counters that are zero as well" };
        var command = new Command("stats",
            "Prints the counters of a running network, its connections, or where its memory is.\n\nExamples:\n"
            + "  peregrine stats                              of the only network that runs\n"
            + "  peregrine stats demo --get connections       while 'peregrine demo --stay' runs\n"
            + "  peregrine stats --nstat                      by the names that Linux's nstat has for them\n"
            + "  peregrine stats /run/peregrine/web.sock --json")
        {
            network, what, nstat, json, all,
        };
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetValue(network), parsed.GetValue(nstat) ? "nstat" : parsed.GetValue(what)!, parsed.GetValue(json), parsed.GetValue(all), cancel));
        return command;
    }

    private static async Task<int> RunAsync(string? network, string what, bool json, bool all, CancellationToken cancel)
    {
        var answer = await ControlClient.AskAsync(network, what, "", cancel).ConfigureAwait(false);
        if (json)
        {
            Console.WriteLine(answer);
            return 0;
        }
        using var document = JsonDocument.Parse(answer);
        foreach (var member in document.RootElement.EnumerateObject()) Print(member, all);
        return 0;
    }

    private static void Print(JsonProperty member, bool all)
    {
        switch (member.Value.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var counter in member.Value.EnumerateObject())
                {
                    // nstat's names have no group before them.
                    var name = member.Name == "nstat" ? counter.Name : member.Name + "." + counter.Name;
                    if (all || counter.Value.GetInt64() != 0) Console.WriteLine($"{name,-40} {counter.Value.GetInt64().ToString("N0", CultureInfo.InvariantCulture),20}");
                }
                break;
            case JsonValueKind.Array when member.Value.GetArrayLength() > 0 && member.Value[0].ValueKind == JsonValueKind.Object:
                PrintRows(member.Value);
                break;
            case JsonValueKind.Array:
                Console.WriteLine($"{member.Name,-40} {string.Join(", ", member.Value.EnumerateArray())}");
                break;
            default:
                Console.WriteLine($"{member.Name,-40} {member.Value}");
                break;
        }
    }

    private static void PrintRows(JsonElement rows)
    {
        var table = new Table().Border(TableBorder.Simple);
        foreach (var column in rows[0].EnumerateObject()) table.AddColumn(new TableColumn(Markup.Escape(column.Name)));
        foreach (var row in rows.EnumerateArray()) table.AddRow(row.EnumerateObject().Select(static cell => Markup.Escape(cell.Value.ToString())).ToArray());
        AnsiConsole.Write(table);
    }
}
