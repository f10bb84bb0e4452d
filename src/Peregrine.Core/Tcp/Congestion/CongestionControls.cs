// The congestion controls of one stack, by number: those without state of their own, and BBR over the stack's models.
using Peregrine.Core.Memory;
using Peregrine.Core.Tcp.Congestion.Bbr;
using Peregrine.Core.Tcp.Recovery;
using Peregrine.Core.Time;

namespace Peregrine.Core.Tcp.Congestion;

/// <summary>The controls; without models there is no BBR, and who asks for it gets CUBIC. CUBIC by packets needs the sender's history.</summary>
internal sealed class CongestionControls(BbrControl? bbr, IndexedPool<SenderHistory> histories)
{
    private readonly BbrControl? _bbr = bbr;
    private readonly CongestionControl?[] _all = [new Cubic(), new NewReno(), new Dctcp(), bbr, new PacketCubic(histories)];

    /// <summary>Models in use: BBR's connections.</summary>
    internal int ModelsInUse => _bbr?.ModelsInUse ?? 0;

    /// <summary>The connection's control.</summary>
    internal CongestionControl Of(in TcbCold k) => _all[(int)k.Recovery.Algorithm]!;

    /// <summary>What a connection gets that asks for this: CUBIC counts packets only where there is a history.</summary>
    internal static CongestionAlgorithm For(in TcbCold k, CongestionAlgorithm algorithm) =>
        algorithm == CongestionAlgorithm.PacketCubic && !k.HasHistory ? CongestionAlgorithm.Cubic : algorithm;

    /// <summary>Gives a connection its control. False: the one that was asked for has no room, and CUBIC stands in.</summary>
    internal bool TryBegin(ref Tcb c, ref TcbCold k, CongestionAlgorithm algorithm, Instant now)
    {
        k.Recovery.Algorithm = algorithm;
        if (_all[(int)algorithm]?.TryBegin(ref c, ref k, now) == true) return true;
        k.Recovery.Algorithm = CongestionAlgorithm.Cubic;
        Of(k).TryBegin(ref c, ref k, now);
        return false;
    }
}
