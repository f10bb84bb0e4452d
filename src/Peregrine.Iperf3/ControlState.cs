// The single bytes that steer a test on the control connection, as iperf_api.h of libiperf-dev numbers them.
namespace Peregrine.Iperf3;

/// <summary>A state of the test, sent as one byte by the side that enters it.</summary>
internal enum ControlState : sbyte
{
    /// <summary>To the client: streams are there, prepare.</summary>
    TestStart = 1,

    /// <summary>To the client: go.</summary>
    TestRunning = 2,

    /// <summary>To the server: the test's end has come.</summary>
    TestEnd = 4,

    /// <summary>To the client: send your parameters.</summary>
    ParamExchange = 9,

    /// <summary>To the client: open the streams.</summary>
    CreateStreams = 10,

    /// <summary>To the client: the server was stopped.</summary>
    ServerTerminate = 11,

    /// <summary>To the server: the client was stopped.</summary>
    ClientTerminate = 12,

    /// <summary>To the client: send your results, mine follow.</summary>
    ExchangeResults = 13,

    /// <summary>To the client: print.</summary>
    DisplayResults = 14,

    /// <summary>To the server: all is said.</summary>
    IperfDone = 16,

    /// <summary>To the client: another test is running.</summary>
    AccessDenied = -1,

    /// <summary>To the client: two 32-bit numbers follow, iperf3's error and the system's.</summary>
    ServerError = -2,
}
