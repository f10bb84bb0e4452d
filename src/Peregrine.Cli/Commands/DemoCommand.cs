// "peregrine demo": chooses a world, shows the site being fetched in it, and cleans up. What is shown is in Demonstration.
using System.CommandLine;
using System.Diagnostics;
using Peregrine.Cli.Demo;

namespace Peregrine.Cli.Commands;

internal static class DemoCommand
{
    // Set in the child that runs inside a user namespace, so that it does not try that again.
    private const string InsideVariable = "PEREGRINE_DEMO_INSIDE";

    internal static Command Create()
    {
        var scenario = new Argument<string>("scenario")
        {
            Description = "What to show: web (a site and what goes over the wire), links (a page over every kind of link that this machine has), or iperf3 "
                + "(throughput between our iperf3 and the installed one, in every pairing)",
            DefaultValueFactory = static _ => "web",
        };
        scenario.AcceptOnlyFromAmong("web", "links", "iperf3");
        var stay = new Option<bool>("--stay") { Description = "Keep the site up afterwards and print how to reach it; Ctrl-C ends it" };
        var link = new Option<string>("--link") { Description = "auto (a TAP device where that is permitted, else memory), tap or memory", DefaultValueFactory = static _ => "auto" };
        link.AcceptOnlyFromAmong("auto", "tap", "memory");
        var write = new Option<FileInfo?>("--write") { Description = "Also write the frames to this pcapng file (wireshark, tcpdump -r and 'peregrine dump' read it)" };
        var command = new Command("demo",
            "Starts a small ASP.NET Core site on a stack of its own, pings it and fetches it over HTTP and HTTPS, and shows what went over the wire.\n\n"
            + "As root, or where user namespaces are permitted, the other side is this machine's kernel: curl and ping in a network namespace, over a TAP device.\n"
            + "Elsewhere it is a second Peregrine over a link in memory. Nothing of the machine's own network is touched, and nothing is left behind.")
        {
            scenario, stay, link, write,
        };
        command.SetAction((parsed, cancel) => parsed.GetValue(scenario) switch
        {
            "links" => RunLinksAsync(cancel),
            "iperf3" => RunIperf3Async(cancel),
            _ => RunAsync(parsed.GetValue(stay), parsed.GetValue(link)!, parsed.GetValue(write), cancel),
        });
        return command;
    }

    private static async Task<int> RunAsync(bool stay, string link, FileInfo? write, CancellationToken cancel)
    {
        var inside = Environment.GetEnvironmentVariable(InsideVariable) == "1";
        var world = link == "memory" ? new MemoryWorld() : TryKernel(inside, link == "tap");
        if (world == null && !inside && await CanBeRootInUserNamespaceAsync(cancel).ConfigureAwait(false)) return await RunInsideAsync(cancel).ConfigureAwait(false);
        world ??= new MemoryWorld();
        await using (world.ConfigureAwait(false))
        {
            return await new Demonstration(world).RunAsync(stay, write, cancel).ConfigureAwait(false);
        }
    }

    private static async Task<int> RunIperf3Async(CancellationToken cancel)
    {
        if (!Iperf3Matrix.IsInstalled) throw new FileNotFoundException("There is no iperf3 here to be compared with: install it (apt-get install iperf3, or eng/install-test-tools).");
        if (Environment.GetEnvironmentVariable(InsideVariable) != "1" && !Environment.IsPrivilegedProcess && await CanBeRootInUserNamespaceAsync(cancel).ConfigureAwait(false))
            return await RunInsideAsync(cancel).ConfigureAwait(false);
        var matrix = Iperf3Matrix.Create();
        await using (matrix.ConfigureAwait(false))
        {
            return await matrix.RunAsync(cancel).ConfigureAwait(false);
        }
    }

    private static async Task<int> RunLinksAsync(CancellationToken cancel)
    {
        var inside = Environment.GetEnvironmentVariable(InsideVariable) == "1";
        if (!Environment.IsPrivilegedProcess && !inside && await CanBeRootInUserNamespaceAsync(cancel).ConfigureAwait(false))
            return await RunInsideAsync(cancel).ConfigureAwait(false);
        return await LinksDemonstration.RunAsync(cancel).ConfigureAwait(false);
    }

    private static DemoWorld? TryKernel(bool inside, bool required)
    {
        try
        {
            return KernelWorld.Create(inside);
        }
        catch (Exception e) when (e is UnauthorizedAccessException or IOException && !required)
        {
            return null;
        }
    }

    /// <summary>Whether unshare(1) gives a user namespace in which the TAP device can be opened.</summary>
    private static async Task<bool> CanBeRootInUserNamespaceAsync(CancellationToken cancel)
    {
        try
        {
            // Opening is what decides: the device node's own permissions hold inside as well.
            var start = new ProcessStartInfo("unshare", ["-Urn", "sh", "-c", "exec 3<>/dev/net/tun"]) { RedirectStandardError = true, RedirectStandardOutput = true };
            using var probe = Process.Start(start)!;
            await probe.WaitForExitAsync(cancel).ConfigureAwait(false);
            return probe.ExitCode == 0;
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return false;
        }
    }

    private static async Task<int> RunInsideAsync(CancellationToken cancel)
    {
        var arguments = Environment.GetCommandLineArgs();
        var start = new ProcessStartInfo("unshare", ["-Urn", "--", Environment.ProcessPath!]);
        // Started as "dotnet Peregrine.Cli.dll" the first argument is the program; started by its own host it is the host's.
        if (Path.GetFileNameWithoutExtension(Environment.ProcessPath) == "dotnet") start.ArgumentList.Add(arguments[0]);
        foreach (var argument in arguments.Skip(1)) start.ArgumentList.Add(argument);
        start.Environment[InsideVariable] = "1";
        using var child = Process.Start(start)!;
        try
        {
            // Ctrl-C reaches the child too, as it is of the same terminal: it cleans up, and this waits for that.
            await child.WaitForExitAsync(CancellationToken.None).WaitAsync(cancel).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            using var kill = Process.Start("kill", ["-INT", child.Id.ToString(System.Globalization.CultureInfo.InvariantCulture)]);
            await child.WaitForExitAsync(CancellationToken.None).WaitAsync(TimeSpan.FromSeconds(8), CancellationToken.None).ConfigureAwait(false);
        }
        return child.ExitCode;
    }
}
