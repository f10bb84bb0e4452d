// What keyed hashes cost: a tuple's place in the table, an initial sequence number, a port.
using BenchmarkDotNet.Attributes;
using Peregrine.Core;
using Peregrine.Core.Tcp;
using Peregrine.Core.Time;
using Peregrine.Wire;

namespace Peregrine.Stages.Bench;

public class HashBenchmarks
{
    private readonly StackSecrets _secrets = StackSecrets.FromSeed(1);
    private readonly IsnGenerator _isn = new(StackSecrets.FromSeed(1));
    private readonly EphemeralPorts _ports = new(StackSecrets.FromSeed(1), new StackRandom(1));
    private readonly Instant _now = Instant.Zero + Duration.FromSeconds(1);
    private IpAddress _local, _remote;

    [Params(4, 6)]
    public int Version { get; set; }

    [GlobalSetup]
    public void Prepare() => (_local, _remote) = Version == 4
        ? (IpAddress.Parse("192.0.2.1"), IpAddress.Parse("192.0.2.2")) : (IpAddress.Parse("2001:db8::1"), IpAddress.Parse("2001:db8::2"));

    [Benchmark]
    public ulong Tuple() => SipHash.Hash13(_secrets.DemuxKey, _local, 443, _remote, 50_000);

    [Benchmark]
    public SeqNumber InitialSequenceNumber() => _isn.Next(_local, 443, _remote, 50_000, _now);

    [Benchmark]
    public int EphemeralPort()
    {
        var use = default(NoneInUse);
        return _ports.TryPick(_local, _remote, 443, ref use, out var port) ? port : 0;
    }

    private struct NoneInUse : IPortInUse
    {
        public readonly bool IsInUse(ushort localPort) => false;
    }
}
