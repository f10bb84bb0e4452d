using Peregrine.Core.Tcp;
using Peregrine.Wire;

namespace Peregrine.Core.Tests.Tcp;

public sealed class EphemeralPortsTests
{
    private static readonly IpAddress Local = IpAddress.Parse("10.0.0.1"), Remote = IpAddress.Parse("10.0.0.2");

    [Fact]
    public void PortsOfADestinationFollowEachOtherThroughTheRange()
    {
        var ports = new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1), 40_000, 40_999);
        var use = new Used();
        var seen = new List<ushort>();
        for (var i = 0; i < 1_000; i++)
        {
            Assert.True(ports.TryPick(Local, Remote, 80, ref use, out var port));
            seen.Add(port);
        }
        Assert.Equal(1_000, seen.Distinct().Count());
        Assert.Equal((40_000, 40_999), (seen.Min(), seen.Max()));
        for (var i = 1; i < seen.Count; i++) Assert.Equal(((seen[i - 1] - 40_000 + 1) % 1_000) + 40_000, seen[i]);
    }

    [Fact]
    public void DestinationsStartApart()
    {
        var ports = new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1));
        var use = new Used();
        var first = new HashSet<ushort>();
        for (ushort remotePort = 1; remotePort <= 100; remotePort++)
        {
            Assert.True(ports.TryPick(Local, Remote, remotePort, ref use, out var port));
            Assert.InRange(port, EphemeralPorts.DefaultMin, EphemeralPorts.DefaultMax);
            first.Add(port);
        }
        Assert.InRange(first.Count, 95, 100);
    }

    [Fact]
    public void FullRangeFailsAfterABoundedCountOfQuestions()
    {
        var ports = new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1));
        var use = new Used { Ports = [.. Enumerable.Range(EphemeralPorts.DefaultMin, 28_232).Select(p => (ushort)p)] };
        Assert.False(ports.TryPick(Local, Remote, 80, ref use, out var port));
        Assert.Equal(0, port);
        Assert.Equal(2 * EphemeralPorts.ProbesInOrder, use.Questions);
        Assert.Equal(1, ports.Failed);
    }

    [Fact]
    public void OnlyFreePortIsFoundByTryingAgain()
    {
        var ports = new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1));
        var use = new Used { Ports = [.. Enumerable.Range(EphemeralPorts.DefaultMin, 28_232).Select(p => (ushort)p)] };
        use.Ports.Remove(45_678);
        var calls = 1;
        ushort port;
        while (!ports.TryPick(Local, Remote, 80, ref use, out port) && calls < 1_000) calls++;
        Assert.Equal(45_678, port);
        Assert.InRange(calls, 1, (28_232 / EphemeralPorts.ProbesInOrder) + 1);
    }

    [Fact]
    public void LongRunOfBusyPortsFailsNoCall()
    {
        var ports = new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1), 30_000, 39_999);
        var use = new Used();
        for (var i = 0; i < 5_000; i++)
        {
            Assert.True(ports.TryPick(Local, Remote, 80, ref use, out var port));
            use.Ports.Add(port);
        }
        // The order comes round to the run of busy ports, half of the range, again and again.
        for (var i = 0; i < 20_000; i++) Assert.True(ports.TryPick(Local, Remote, 80, ref use, out _));
        Assert.Equal(0, ports.Failed);
    }

    [Theory]
    [Trait("emulation", "throws")]
    [InlineData(5_000, 5_000)]
    [InlineData(1, 65_535)]
    [InlineData(65_535, 65_535)]
    public void AnyRangeWorks(int min, int max)
    {
        var ports = new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1), (ushort)min, (ushort)max);
        var use = new Used();
        Assert.True(ports.TryPick(Local, Remote, 80, ref use, out var port));
        Assert.InRange(port, min, max);
        Expect.Throw<ArgumentOutOfRangeException>(() => new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1), 0, 5));
        Expect.Throw<ArgumentOutOfRangeException>(() => new EphemeralPorts(StackSecrets.FromSeed(1), new StackRandom(1), 6, 5));
    }

    private struct Used : IPortInUse
    {
        public HashSet<ushort> Ports = [];
        public int Questions;

        public Used()
        {
        }

        public bool IsInUse(ushort localPort)
        {
            Questions++;
            return Ports.Contains(localPort);
        }
    }
}
