// "peregrine profile": where a request's time goes, stage by stage of the server's loop, over a link in memory.
using System.CommandLine;
using Peregrine.Bench;
using Peregrine.Bench.Lab;
using Peregrine.Bench.Report;
using Spectre.Console;

namespace Peregrine.Cli.Commands;

internal static class ProfileCommand
{
    private static readonly string[] s_names = ["http", "pingpong", "bulk", "connect", "udp", "mixed"];

    internal static Command Create()
    {
        var name = new Argument<string>("name") { Description = "The work: " + string.Join(", ", s_names), DefaultValueFactory = static _ => "http" };
        name.AcceptOnlyFromAmong(s_names);
        var connections = new Option<int>("--connections", "-c") { Description = "Connections at a time, 1 to 20000", DefaultValueFactory = static _ => 64 };
        var seconds = new Option<double>("--seconds") { Description = "Measured seconds", DefaultValueFactory = static _ => 2 };
        var every = new Option<int>("--every") { Description = "One of so many turns of the loop is timed, 1 to 1000000", DefaultValueFactory = static _ => 16 };
        var command = new Command("profile",
            "Prints where a request's time goes on the server's core: sampled turns of its loop, timed stage by stage, over a link in memory.\n"
            + "In a program of yours set ProfileEveryTurns; 'peregrine stats' then has the sums.\n\nExamples:\n  peregrine profile\n  peregrine profile pingpong -c 1\n  peregrine profile connect")
        {
            name, connections, seconds, every,
        };
        command.SetAction(async (parsed, cancel) =>
        {
            var work = Suite.Of(Enum.Parse<WorkKind>(parsed.GetValue(name)!, ignoreCase: true), quick: false);
            work = work with { Connections = parsed.GetValue(connections), Seconds = parsed.GetValue(seconds), Spin = true };
            work.Validate();
            if (parsed.GetValue(every) is < 1 or > 1_000_000) throw new ArgumentException($"--every is {parsed.GetValue(every)}; it must be from 1 to 1000000.");
            var bed = new MemoryBed { ProfileEveryTurns = parsed.GetValue(every) };
            await using (bed.ConfigureAwait(false))
            {
                // The first run compiles.
                await bed.RunAsync(0, work with { Seconds = Math.Min(1, work.Seconds) }, cancel).ConfigureAwait(false);
                await bed.RunAsync(0, work, cancel).ConfigureAwait(false);
                Print(work, bed.Profile);
            }
        });
        return command;
    }

    private static void Print(BenchWork work, IReadOnlyDictionary<string, long> sums)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumn("stage of the server's loop");
        foreach (var column in (string[])["ns a turn", "ns a frame in", "%"]) table.AddColumn(new TableColumn(column).RightAligned());
        foreach (var row in ProfileTable.Create(sums))
        {
            var (turn, frame, share) = (Text(row.NanosecondsATurn), Text(row.NanosecondsAFrame), Text(row.Percent));
            table.AddRow(Markup.Escape(row.Stage), turn, frame, share);
        }
        Console.WriteLine($"\n{work.Title}; memory");
        AnsiConsole.Write(table);
        var turns = Math.Max(1, sums.GetValueOrDefault("Turns"));
        double ATurn(string sum) => (double)sums.GetValueOrDefault(sum) / turns;
        Console.WriteLine(FormattableString.Invariant($"  {turns:N0} timed turns that moved frames; {ATurn("ReceivedFrames"):F2} frames in and {ATurn("SentFrames"):F2} out a turn"));
        Console.WriteLine(FormattableString.Invariant($"  {ATurn("ClockNs"):F0} ns a reading of the clock, taken off each stage"));
    }

    private static string Text(double value) => value.ToString("N1", System.Globalization.CultureInfo.InvariantCulture);
}
