// "peregrine stats": asks a running network over its control socket and prints the answer, as a table or as it came.
using System.CommandLine;
using System.Globalization;
using System.Net.Sockets;
using System.Text;
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
        var all = new Option<bool>("--all") { Description = "Print counters that are zero as well" };
        var command = new Command("stats",
            "Prints the counters of a running network, its connections, or where its memory is.\n\nExamples:\n"
            + "  peregrine stats                              of the only network that runs\n"
            + "  peregrine stats demo --get connections       while 'peregrine demo --stay' runs\n"
            + "  peregrine stats /run/peregrine/web.sock --json")
        {
            network, what, json, all,
        };
        command.SetAction((parsed, cancel) => RunAsync(parsed.GetValue(network), parsed.GetValue(what)!, parsed.GetValue(json), parsed.GetValue(all), cancel));
        return command;
    }

    private static async Task<int> RunAsync(string? network, string what, bool json, bool all, CancellationToken cancel)
    {
        var answer = await AskAsync(Find(network), what, cancel).ConfigureAwait(false);
        if (json)
        {
            Console.WriteLine(answer);
            return 0;
        }
        using var document = JsonDocument.Parse(answer);
        if (document.RootElement.TryGetProperty("error", out var error)) throw new InvalidOperationException(error.GetString());
        foreach (var member in document.RootElement.EnumerateObject()) Print(member, all);
        return 0;
    }

    private static string Find(string? network)
    {
        if (network != null && network.Contains('/', StringComparison.Ordinal)) return network;
        var runtime = Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR");
        var folder = Path.Combine(string.IsNullOrEmpty(runtime) ? "/run" : runtime, "peregrine");
        if (network != null) return Path.Combine(folder, network + ".sock");
        var running = Directory.Exists(folder) ? Directory.GetFiles(folder, "*.sock") : [];
        return running.Length switch
        {
            1 => running[0],
            0 => throw new FileNotFoundException($"No network runs here (nothing in {folder}): start one, for example with 'peregrine demo --stay'."),
            _ => throw new ArgumentException("Several networks run: name one of " + string.Join(", ", running.Select(Path.GetFileNameWithoutExtension)) + "."),
        };
    }

    private static async Task<string> AskAsync(string path, string what, CancellationToken cancel)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(path), cancel).ConfigureAwait(false);
        }
        catch (SocketException e)
        {
            throw new IOException($"No network answers at {path} ({e.SocketErrorCode}): is it running, and is it yours?", e);
        }
        using var stream = new NetworkStream(socket);
        await stream.WriteAsync(Encoding.UTF8.GetBytes($"{{\"get\":\"{what}\"}}\n"), cancel).ConfigureAwait(false);
        using var reader = new StreamReader(stream, Encoding.UTF8);
        return await reader.ReadLineAsync(cancel).ConfigureAwait(false) ?? throw new IOException($"The network at {path} gave no answer: it may have just ended.");
    }

    private static void Print(JsonProperty member, bool all)
    {
        switch (member.Value.ValueKind)
        {
            case JsonValueKind.Object:
                foreach (var counter in member.Value.EnumerateObject())
                {
                    if (all || counter.Value.GetInt64() != 0) Console.WriteLine($"{member.Name + "." + counter.Name,-40} {counter.Value.GetInt64().ToString("N0", CultureInfo.InvariantCulture),20}");
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
