// The ports of shared addresses that follow the stack's listeners and UDP sockets: each that is opened is reserved against the kernel's
// programs and then steered to us, and given back with its last user. Fixed ports, which the options name, are not its matter.
using System.Threading;
using Peregrine.Core.Links;
using Peregrine.Wire;

namespace Peregrine.Drivers.Xdp;

internal sealed class SharedPorts(NetworkNamespace space, XdpSteering steering) : IPortKeeper
{
    /// <summary>
    /// Where connections of ours begin: outside of the range from which Linux picks by default (net.ipv4.ip_local_port_range, 32768 to 60999). It is
    /// ours as a whole, and nothing is bound there.
    /// </summary>
    public static readonly PortRange Ephemeral = PortRange.Parse("61000-65535");

    private readonly Dictionary<(bool Udp, ushort Port), Use> _uses = [];
    private readonly List<IpAddress> _addresses = [];
    private readonly Lock _gate = new();

    public bool TryOpenPort(bool udp, ushort port)
    {
        lock (_gate)
        {
            if (_uses.TryGetValue((udp, port), out var use))
            {
                use.Count++;
                return true;
            }
            use = new Use();
            if (!TryReserve(use.Reserved, _addresses, udp, port)) return false;
            _uses.Add((udp, port), use);
            steering.OpenPort(udp, port);
            return true;
        }
    }

    public void ClosePort(bool udp, ushort port)
    {
        lock (_gate)
        {
            if (!_uses.TryGetValue((udp, port), out var use) || --use.Count > 0) return;
            _uses.Remove((udp, port));
            // In this order: what comes in between is the kernel's, which has nobody there and says so.
            steering.ClosePort(udp, port);
            use.Reserved.Dispose();
        }
    }

    /// <summary>One more address on which the ports are ours. Call before the stack has any.</summary>
    public void AddAddress(IpAddress address)
    {
        lock (_gate)
        {
            if (_addresses.Count == 0)
            {
                for (int port = Ephemeral.First; port <= Ephemeral.Last; port++) steering.OpenPort(udp: false, (ushort)port);
            }
            _addresses.Add(address);
        }
    }

    public void Dispose()
    {
        lock (_gate)
        {
            foreach (var use in _uses.Values) use.Reserved.Dispose();
            _uses.Clear();
        }
    }

    private bool TryReserve(PortReservation reserved, List<IpAddress> addresses, bool udp, ushort port)
    {
        if (addresses.Count == 0) return true;
        try
        {
            var free = true;
            space.Run(() =>
            {
                foreach (var address in addresses) free &= reserved.TryAdd(address, port, udp);
            });
            if (!free) reserved.Dispose();
            return free;
        }
        catch (UnauthorizedAccessException)
        {
            // The privileges were dropped, and the port is below 1,024 or the namespace another. It is steered all the same; only the kernel's
            // programs are not kept from binding it.
            reserved.Dispose();
            return true;
        }
    }

    private sealed class Use
    {
        public PortReservation Reserved { get; } = new();

        public int Count { get; set; } = 1;
    }
}
