// Between the base library's end points, which the public edge speaks, and the stack's own value.
using System.Net;
using Peregrine.Wire;

namespace Peregrine.Sockets;

internal static class EndPoints
{
    internal static Endpoint ToEndpoint(IPEndPoint? endPoint) =>
        endPoint == null ? default : new Endpoint(IpAddress.FromIPAddress(endPoint.Address), (ushort)endPoint.Port);

    internal static IPEndPoint ToIPEndPoint(in Endpoint endpoint) => new(endpoint.Address.ToIPAddress(), endpoint.Port);
}
