// What an interface is asked by ioctl(2): its number, and the name of its driver (ethtool). Through a socket, so of that socket's namespace.
using System.Runtime.InteropServices;

namespace Peregrine.Drivers.Linux;

internal static unsafe class InterfaceDriver
{
    private const nuint EthernetTool = 0x8946;   // SIOCETHTOOL
    private const uint GetDriver = 3;            // ETHTOOL_GDRVINFO
    private const int InfoSize = 196, DriverOffset = 4, DriverSize = 32;

    /// <summary>The interface's number, or 0 when there is none of that name.</summary>
    public static int IndexOf(int control, string name)
    {
        var request = InterfaceRequest.For(name);
        return Posix.IoControl(control, InterfaceControl.GetIndex, ref request).IsError ? 0 : request.Number;
    }

    /// <summary>The driver's name, or empty when it does not say.</summary>
    public static string NameOf(int control, string name)
    {
        var info = stackalloc byte[InfoSize];
        new Span<byte>(info, InfoSize).Clear();
        *(uint*)info = GetDriver;
        var request = InterfaceRequest.For(name);
        *(void**)((byte*)&request + InterfaceRequest.NameSize) = info;
        if (Posix.IoControl(control, EthernetTool, &request).IsError) return "";
        info[DriverOffset + DriverSize - 1] = 0;
        return Marshal.PtrToStringUTF8((nint)(info + DriverOffset)) ?? "";
    }
}
