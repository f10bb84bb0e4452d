// The kernel's interface beneath a DPDK device of software (iface=eth0), looked at by ourselves: net_af_packet and net_af_xdp do not say
// when it is deleted, and then move nothing for ever.
using System.Threading;
using Peregrine.Drivers.Linux;

namespace Peregrine.Drivers.Dpdk;

internal sealed class DpdkInterface : IDisposable
{
    private const string Argument = "iface=";

    private readonly Lock _gate = new();
    private int _index;
    private int _control;

    private DpdkInterface(string name, int control) => (Name, _control) = (name, control);

    /// <summary>The interface's name.</summary>
    public string Name { get; }

    /// <summary>Whether the interface that the device was opened on is not there any more; another one of that name does not count. From any thread.</summary>
    public bool IsGone
    {
        get
        {
            lock (_gate) return _control >= 0 && InterfaceDriver.IndexOf(_control, Name) != _index;
        }
    }

    /// <summary>Whether there is an interface of that name, be it another one.</summary>
    public bool Exists
    {
        get
        {
            lock (_gate) return _control >= 0 && InterfaceDriver.IndexOf(_control, Name) != 0;
        }
    }

    /// <summary>Whether there is one that is up and has its carrier.</summary>
    public bool IsReady
    {
        get
        {
            lock (_gate) return _control >= 0 && TapDevice.IsUp(_control, Name);
        }
    }

    /// <summary>Watches what the device's arguments name, or what the driver made, in the calling thread's namespace; null where there is none.</summary>
    public static DpdkInterface? TryWatch(IEnumerable<string> arguments, DpdkPort port)
    {
        var name = arguments.FirstOrDefault(static argument => argument.StartsWith(Argument, StringComparison.Ordinal))?[Argument.Length..];
        if (name is null && port.InterfaceIndex != 0) name = InterfaceDump.Read().FirstOrDefault(one => one.Index == port.InterfaceIndex)?.Name;
        // What net_vhost calls iface is a socket's path.
        if (name is null || TapDevice.OpenControl(name) is not (>= 0 and var control)) return null;
        var found = new DpdkInterface(name, control);
        found.Adopt(port);
        return found;
    }

    /// <summary>From now on the interface is the one that the port was opened on.</summary>
    public void Adopt(DpdkPort port)
    {
        lock (_gate) _index = port.InterfaceIndex != 0 || _control < 0 ? port.InterfaceIndex : InterfaceDriver.IndexOf(_control, Name);
    }

    public void Dispose()
    {
        lock (_gate)
        {
            if (_control >= 0) Posix.Close(_control);
            _control = -1;
        }
    }
}
