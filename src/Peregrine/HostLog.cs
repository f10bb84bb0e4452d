// Everything that the host says in its log, off the packet path. Event numbers are stable.
using Microsoft.Extensions.Logging;
using Peregrine.Wire;

namespace Peregrine;

internal static class HostLog
{
    private static readonly Action<ILogger, string, string, string, string, Exception?> s_started = LoggerMessage.Define<string, string, string, string>(
        LogLevel.Information, new EventId(1, "Started"), "Network {Name} is up on link {Link} with {Addresses}; memory: {Memory}.");

    private static readonly Action<ILogger, string, Exception?> s_stopped = LoggerMessage.Define<string>(
        LogLevel.Information, new EventId(2, "Stopped"), "Network {Name} has stopped.");

    private static readonly Action<ILogger, string, Exception?> s_linkUp = LoggerMessage.Define<string>(
        LogLevel.Information, new EventId(3, "LinkUp"), "Link {Link} is up.");

    private static readonly Action<ILogger, string, Exception?> s_linkDown = LoggerMessage.Define<string>(
        LogLevel.Warning, new EventId(4, "LinkDown"), "Link {Link} is down: nothing is sent or received until it comes back.");

    private static readonly Action<ILogger, string, long, long, Exception?> s_tooLong = LoggerMessage.Define<string, long, long>(
        LogLevel.Warning, new EventId(5, "CallbackTooLong"),
        "{Callback} has held the core for {Elapsed} ms (limit {Limit} ms); no packet is handled meanwhile. Code that blocks belongs on CompletionMode.ThreadPool.");

    private static readonly Action<ILogger, string, Exception?> s_threw = LoggerMessage.Define<string>(
        LogLevel.Error, new EventId(6, "CallbackThrew"), "{Callback} threw.");

    private static readonly Action<ILogger, int, Exception?> s_notPinned = LoggerMessage.Define<int>(
        LogLevel.Warning, new EventId(7, "NotPinned"), "The core's thread could not be pinned to processor {Cpu}: no such processor, no permission, or a platform that cannot.");

    private static readonly Action<ILogger, Exception?> s_failed = LoggerMessage.Define(
        LogLevel.Critical, new EventId(8, "CoreFailed"), "The core has failed and stops.");

    private static readonly Action<ILogger, int, Exception?> s_grace = LoggerMessage.Define<int>(
        LogLevel.Warning, new EventId(9, "GracePassed"), "The time for stopping has passed: {Count} connections are reset.");

    private static readonly Action<ILogger, string, string, Exception?> s_noControl = LoggerMessage.Define<string, string>(
        LogLevel.Warning, new EventId(10, "NoControlSocket"), "There is no control socket at {Path}: {Reason}");

    private static readonly Action<ILogger, string, string, Exception?> s_deviceGone = LoggerMessage.Define<string, string>(
        LogLevel.Warning, new EventId(11, "DeviceGone"), "The device of link {Link} is gone: {Problem}.");

    private static readonly Action<ILogger, string, Exception?> s_deviceReopened = LoggerMessage.Define<string>(
        LogLevel.Information, new EventId(12, "DeviceReopened"), "The device of link {Link} was opened again.");

    private static readonly Action<ILogger, string, int, int, Exception?> s_mtuChanged = LoggerMessage.Define<string, int, int>(
        LogLevel.Information, new EventId(13, "MtuChanged"), "The MTU of link {Link} was {Before} bytes and is {Mtu} now.");

    private static readonly Action<ILogger, string, MacAddress, MacAddress, Exception?> s_addressChanged = LoggerMessage.Define<string, MacAddress, MacAddress>(
        LogLevel.Information, new EventId(14, "AddressChanged"), "The hardware address of link {Link} was {Before} and is {Address} now.");

    internal static void Started(ILogger logger, string name, string link, string addresses, string memory) => s_started(logger, name, link, addresses, memory, null);

    internal static void Stopped(ILogger logger, string name) => s_stopped(logger, name, null);

    internal static void LinkUp(ILogger logger, string link) => s_linkUp(logger, link, null);

    internal static void LinkDown(ILogger logger, string link) => s_linkDown(logger, link, null);

    internal static void DeviceGone(ILogger logger, string link, string problem) => s_deviceGone(logger, link, problem, null);

    internal static void DeviceReopened(ILogger logger, string link) => s_deviceReopened(logger, link, null);

    internal static void MtuChanged(ILogger logger, string link, int before, int mtu) => s_mtuChanged(logger, link, before, mtu, null);

    internal static void AddressChanged(ILogger logger, string link, MacAddress before, MacAddress address) => s_addressChanged(logger, link, before, address, null);

    internal static void CallbackTooLong(ILogger logger, string callback, long elapsedMs, long limitMs) => s_tooLong(logger, callback, elapsedMs, limitMs, null);

    internal static void CallbackThrew(ILogger logger, string callback, Exception exception) => s_threw(logger, callback, exception);

    internal static void NotPinned(ILogger logger, int cpu) => s_notPinned(logger, cpu, null);

    internal static void CoreFailed(ILogger logger, Exception exception) => s_failed(logger, exception);

    internal static void GracePassed(ILogger logger, int count) => s_grace(logger, count, null);

    internal static void NoControlSocket(ILogger logger, string path, string reason) => s_noControl(logger, path, reason, null);
}
