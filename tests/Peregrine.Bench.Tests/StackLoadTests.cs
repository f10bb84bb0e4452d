// The client on a stack of ours when its stack refuses: what fails at once is counted and tried again, and never one call deeper.
using System.Net;
using Peregrine.Bench.Load;
using Peregrine.Bench.Serving;
using Peregrine.Core.Links;
using Peregrine.Drivers;

namespace Peregrine.Bench.Tests;

public sealed class StackLoadTests
{
    [Fact]
    public async Task WhereNoPortIsFreeTheClientCountsErrorsAndGoesOn()
    {
        var cancel = TestContext.Current.CancellationToken;
        var (ours, theirs) = MemoryLink.CreatePair();
        using var first = ours;
        using var second = theirs;
        await using var server = await PeregrineNetwork.StartAsync(ServerSettings.Create("load-server", "192.0.2.2/24", false, -1, "none", false), ours, cancel: cancel, platform: new LinuxPlatform());
        await using var services = new StackServer(server);
        var options = ServerSettings.Create("load-client", "192.0.2.1/24", false, -1, "none", false);
        // Fewer ports than lanes, and each is in TIME-WAIT after its connection.
        options = options with { Stack = options.Stack with { EphemeralPortMin = 40_000, EphemeralPortMax = 40_003 } };
        await using var client = await PeregrineNetwork.StartAsync(options, theirs, cancel: cancel, platform: new LinuxPlatform());
        var work = new BenchWork { Kind = WorkKind.Connect, Connections = 16, Seconds = 2, WarmUpSeconds = 0 };
        var result = await new StackLoad(work, client, IPAddress.Parse("192.0.2.2")).RunAsync(static () => 0, static () => Task.CompletedTask, cancel);
        Assert.True(result.Errors > 0, result.ToString());
    }
}
