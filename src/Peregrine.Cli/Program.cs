// The peregrine tool's entry: the commands, and how errors are told. What a command does is in its own file.
using System.CommandLine;
using System.CommandLine.Help;
using System.Runtime.InteropServices;
using Peregrine.Cli.Commands;
using Peregrine.Drivers;

namespace Peregrine.Cli;

internal static class Program
{
    private const int HelpWidthMax = 120;

    // Where it goes to a file or a pipe there is no window, and without a limit lines would be as long as the longest description.
    private static int HelpWidth => Console.IsOutputRedirected ? HelpWidthMax : Math.Clamp(Console.WindowWidth, 40, HelpWidthMax);

    private static async Task<int> Main(string[] args)
    {
        // Started by another of these before it gives root up: not for people, so no command.
        if (LinkOpener.TryRun(args)) return 0;
        // No RootCommand: that one calls itself by the assembly, and people type "peregrine".
        var root = new Command("peregrine", "A user-space TCP/IP stack for .NET, to try out.\n\n"
            + "  peregrine demo                    shows a web site on the stack being fetched by curl, and what went over the wire\n"
            + "  peregrine serve ./site            serves a folder on a TAP link\n"
            + "  peregrine links                   shows which links this machine offers\n"
            + "  peregrine ping 192.0.2.1          asks another host from the stack\n"
            + "  peregrine fetch http://192.0.2.1/ fetches a page over the stack\n"
            + "  peregrine iperf3 -s               measures throughput, with iperf3 at the other end\n"
            + "  peregrine script ./tests          runs packetdrill scripts against the stack\n"
            + "  peregrine bench pingpong          measures the stack, as root beside a server on the kernel's sockets\n"
            + "  peregrine dump capture.pcapng     prints frames\n"
            + "  peregrine stats                   prints the counters of a running network\n"
            + "  peregrine connections             prints its connections as 'ss -ti' does\n"
            + "  peregrine simulate --seeds 1000   runs networks with faults in virtual time, each from a seed\n"
            + "  peregrine curves                  measures TCP in the simulator, and compares with docs/curves")
        {
            new HelpOption { Action = new HelpAction { MaxWidth = HelpWidth } }, new VersionOption(),
        };
        root.Subcommands.Add(DemoCommand.Create());
        root.Subcommands.Add(ServeCommand.Create());
        root.Subcommands.Add(LinksCommand.Create());
        root.Subcommands.Add(PingCommand.Create());
        root.Subcommands.Add(FetchCommand.Create());
        root.Subcommands.Add(Iperf3Command.Create());
        root.Subcommands.Add(ScriptCommand.Create());
        foreach (var command in BenchCommand.Create()) root.Subcommands.Add(command);
        root.Subcommands.Add(ReportCommand.Create());
        root.Subcommands.Add(ProfileCommand.Create());
        root.Subcommands.Add(DumpCommand.Create());
        root.Subcommands.Add(StatsCommand.Create());
        root.Subcommands.Add(ConnectionsCommand.Create());
        root.Subcommands.Add(SimulateCommand.Create());
        root.Subcommands.Add(CurvesCommand.Create());
        var parsed = root.Parse(Iperf3Command.Arrange(args));
        using var interruption = new Interruption();
        try
        {
            return await parsed.InvokeAsync(new InvocationConfiguration { EnableDefaultExceptionHandler = false, ProcessTerminationTimeout = null }, interruption.Token)
                .ConfigureAwait(false);
        }
        catch (OperationCanceledException) when (interruption.Signal is { } signal)
        {
            if (signal != PosixSignal.SIGINT) Console.Error.WriteLine($"peregrine: ended by {signal}");
            return Interruption.StatusOf(signal);
        }
        catch (Exception e) when (Environment.GetEnvironmentVariable("PEREGRINE_TRACE") is null)
        {
            // A user wants what to do, not where in the code it was noticed; PEREGRINE_TRACE=1 shows that as well.
            Console.Error.WriteLine("peregrine: " + Advice(e));
            return 1;
        }
    }

    /// <summary>What went wrong and what to do, in one line.</summary>
    internal static string Advice(Exception e) => e switch
    {
        UnauthorizedAccessException => e.Message + (e.Message.Contains("--link memory", StringComparison.Ordinal) ? "" : " (or use --link memory, which needs no permission)"),
        // The name of a parameter says something to programmers only.
        ArgumentException { ParamName: { } name } => e.Message.Replace($" (Parameter '{name}')", "", StringComparison.Ordinal),
        _ => e.Message,
    };
}
