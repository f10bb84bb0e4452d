// The IP layer's timers in one heap: which ids mean what, and who handles them.
using Peregrine.Core.Memory;
using Peregrine.Core.Time;

namespace Peregrine.Core.Ip;

/// <summary>Timers of neighbours, fragments, addresses, interfaces and tables.</summary>
internal sealed class LayerTimers
{
    private static readonly Duration SweepInterval = Duration.FromSeconds(60);

    private readonly IpLayer _ip;
    private readonly int _reassembly, _addresses, _interfaces, _routes, _pathMtus, _groups;
    private Instant _groupsAt;

    public LayerTimers(IpLayer ip, MemoryRegion region, IpOptions options)
    {
        _ip = ip;
        _reassembly = options.NeighbourCountMax;
        _addresses = _reassembly + options.ReassemblyCountMax;
        _interfaces = _addresses + options.AddressCountMax;
        _routes = _interfaces + options.InterfaceCountMax;
        _pathMtus = _routes + 1;
        _groups = _pathMtus + 1;
        Heap = new DeadlineHeap(region, IdCount(options));
    }

    /// <summary>The heap; a neighbour's id is its place.</summary>
    public DeadlineHeap Heap { get; }

    public static nuint BytesFor(IpOptions options) => DeadlineHeap.BytesFor(IdCount(options));

    public void ArmReassembly(int place, Instant at) => Heap.Arm(_reassembly + place, at);

    public void CancelReassembly(int place) => Heap.Cancel(_reassembly + place);

    public void ArmAddress(int place, Instant at) => Arm(_addresses + place, at);

    public void CancelAddress(int place) => Heap.Cancel(_addresses + place);

    public void ArmInterface(int index, Instant at) => Heap.Arm(_interfaces + index, at);

    public void CancelInterface(int index) => Heap.Cancel(_interfaces + index);

    public void ArmRouteExpiry(Instant at) => Arm(_routes, at);

    public void ArmGroupsEarlier(Instant at)
    {
        if (!Heap.IsArmed(_groups) || at < _groupsAt) Heap.Arm(_groups, _groupsAt = at);
    }

    public void ArmPathMtuSweep(Instant now)
    {
        if (!Heap.IsArmed(_pathMtus)) Heap.Arm(_pathMtus, now + SweepInterval);
    }

    public void Fire(Instant now, int countMax)
    {
        for (int i = 0; i < countMax && Heap.TryPop(now, out int id); i++)
        {
            if (id < _reassembly) _ip.Neighbours.OnTimer(id, now);
            else if (id < _addresses) _ip.Reassembly.OnTimeout(id - _reassembly, now);
            else if (id < _interfaces) _ip.Configuration.OnAddressTimer(id - _addresses, now);
            else if (id < _routes) _ip.Routers.OnTimer(id - _interfaces, now);
            else if (id == _routes) OnRouteExpiry(now);
            else if (id == _pathMtus) OnPathMtuSweep(now);
            else _ip.Groups.OnTimer(now);
        }
    }

    private void OnRouteExpiry(Instant now)
    {
        if (_ip.Routes.RemoveExpired(now)) _ip.Invalidate();
        Arm(_routes, _ip.Routes.NextExpiry);
    }

    private void OnPathMtuSweep(Instant now)
    {
        if (_ip.PathMtus.Sweep(now)) _ip.Invalidate();
        if (_ip.PathMtus.Count > 0) Heap.Arm(_pathMtus, now + SweepInterval);
    }

    private void Arm(int id, Instant at)
    {
        if (at.IsNever) Heap.Cancel(id);
        else Heap.Arm(id, at);
    }

    private static int IdCount(IpOptions options) =>
        options.NeighbourCountMax + options.ReassemblyCountMax + options.AddressCountMax + options.InterfaceCountMax + 3;
}
