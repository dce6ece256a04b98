"""Mails about mails that did not arrive, as mail servers write them; and some that look like it."""

from textwrap import dedent


def _crlf(text: str) -> bytes:
    return dedent(text).lstrip("\n").replace("\n", "\r\n").encode()


def original(message_id: str, recipient: str) -> str:
    """The head of the mail that is given back."""
    return (
        f"Message-ID: {message_id}\n"
        "From: Example Hosting <billing@example.com>\n"
        f"To: {recipient}\n"
        "Subject: Your payment is outstanding\n"
    )


def postfix(message_id: str, recipient: str, *, action: str = "failed", status: str = "5.1.1") -> bytes:
    """By Postfix, piped into a program: with its line of the envelope before everything."""
    words = "550 5.1.1" if action == "failed" else "451 4.3.0"
    head = _crlf(f"""
        From MAILER-DAEMON  Sat Nov 28 07:00:00 2026
        Return-Path: <>
        Received: by mail.example.com (Postfix) id 4F0A11C00B7; Sat, 28 Nov 2026 07:00:00 +0000 (UTC)
        Date: Sat, 28 Nov 2026 07:00:00 +0000 (UTC)
        From: MAILER-DAEMON@mail.example.com (Mail Delivery System)
        Subject: Undelivered Mail Returned to Sender
        To: billing@example.com
        Auto-Submitted: auto-replied
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=delivery-status;
        \tboundary="3E2A51C00B5.1764313200/mail.example.com"
        Message-Id: <20261128070000.4F0A11C00B7@mail.example.com>

        This is a MIME-encapsulated message.

        --3E2A51C00B5.1764313200/mail.example.com
        Content-Description: Notification
        Content-Type: text/plain; charset=us-ascii

        This is the mail system at host mail.example.com.

        I'm sorry to have to inform you that your message could not
        be delivered to one or more recipients.

        <{recipient}>: host mx.example.net[192.0.2.7] said: {words} <{recipient}>:
            Recipient address rejected (in reply to RCPT TO command)

        --3E2A51C00B5.1764313200/mail.example.com
        Content-Description: Delivery report
        Content-Type: message/delivery-status

        Reporting-MTA: dns; mail.example.com
        X-Postfix-Queue-ID: 3E2A51C00B5
        X-Postfix-Sender: rfc822; billing@example.com
        Arrival-Date: Sat, 28 Nov 2026 06:59:58 +0000 (UTC)

        Final-Recipient: rfc822; {recipient}
        Original-Recipient: rfc822;{recipient}
        Action: {action}
        Status: {status}
        Remote-MTA: dns; mx.example.net
        Diagnostic-Code: smtp; {words} <{recipient}>: Recipient address rejected:
            User unknown in relay recipient table

        --3E2A51C00B5.1764313200/mail.example.com
        Content-Description: Undelivered Message Headers
        Content-Type: text/rfc822-headers

        """)
    tail = f"{original(message_id, recipient)}\n--3E2A51C00B5.1764313200/mail.example.com--\n"
    return head + tail.replace("\n", "\r\n").encode()


def exchange(message_id: str, recipient: str, *, status: str = "5.1.10") -> bytes:
    """By Exchange: status of its own length, the whole mail given back, and its id in the head once more."""
    head = _crlf(f"""
        From: "Microsoft Outlook" <MicrosoftExchange329e71ec88ae4615bbc36ab6ce41109e@example.net>
        To: <billing@example.com>
        Date: Sat, 28 Nov 2026 07:00:00 +0000
        Content-Type: multipart/report; report-type=delivery-status; boundary="_d9a1c2_"
        MIME-Version: 1.0
        X-MS-Exchange-Message-Is-Ndr:
        Message-ID: <4b1a9e47-7d0d-4c09-a8de-2f@example.net>
        In-Reply-To: {message_id}
        References: {message_id}
        Subject: Undeliverable: Your payment is outstanding
        Auto-Submitted: auto-replied

        --_d9a1c2_
        Content-Type: multipart/alternative; differences=Content-Type; boundary="_inner_"

        --_inner_
        Content-Type: text/plain; charset="utf-8"
        Content-Transfer-Encoding: quoted-printable

        Your message to {recipient} couldn't be delivered.

        --_inner_
        Content-Type: text/html; charset="utf-8"

        <p>Your message to {recipient} couldn't be delivered.</p>

        --_inner_--

        --_d9a1c2_
        Content-Type: message/delivery-status

        Reporting-MTA: dns;EX01.example.net
        Received-From-MTA: dns;mail.example.com
        Arrival-Date: Sat, 28 Nov 2026 06:59:58 +0000

        Final-Recipient: rfc822;{recipient}
        Action: failed
        Status: {status}
        Diagnostic-Code: smtp;550 {status} RESOLVER.ADR.RecipientNotFound; Recipient {recipient} not found by SMTP address lookup
        X-Display-Name: {recipient}

        --_d9a1c2_
        Content-Type: message/rfc822

        """)  # noqa: E501
    body = f"{original(message_id, recipient)}MIME-Version: 1.0\n\nPlease pay.\n\n--_d9a1c2_--\n"
    return head + body.replace("\n", "\r\n").encode()


def gmail(message_id: str, recipient: str) -> bytes:
    """By Gmail: a picture beside the words, the status before the diagnostic, and lines of both in it."""
    head = _crlf(f"""
        Return-Path: <>
        Content-Type: multipart/report; boundary="000000000000b1"; report-type=delivery-status
        To: billing@example.com
        Auto-Submitted: auto-replied
        Subject: Delivery Status Notification (Failure)
        References: {message_id}
        In-Reply-To: {message_id}
        From: Mail Delivery Subsystem <mailer-daemon@googlemail.com>
        Message-ID: <692a0f10.050a0220.1.GMR@mx.example.org>
        Date: Sat, 28 Nov 2026 07:00:00 -0800 (PST)
        MIME-Version: 1.0

        --000000000000b1
        Content-Type: multipart/related; boundary="000000000000b4"

        --000000000000b4
        Content-Type: text/plain; charset="UTF-8"

        ** Address not found **

        Your message wasn't delivered to {recipient} because the address couldn't be found.

        --000000000000b4
        Content-Type: image/png; name="icon.png"
        Content-Disposition: attachment; filename="icon.png"
        Content-Transfer-Encoding: base64

        iVBORw0KGgo=
        --000000000000b4--

        --000000000000b1
        Content-Type: message/delivery-status

        Reporting-MTA: dns; googlemail.com
        Arrival-Date: Sat, 28 Nov 2026 07:00:00 -0800 (PST)
        X-Original-Message-ID: {message_id}

        Final-Recipient: rfc822; {recipient}
        Action: failed
        Status: 5.1.1
        Remote-MTA: dns; mx.example.net. (192.0.2.7, the server for the domain.)
        Diagnostic-Code: smtp; 550-5.1.1 The email account that you tried to reach does not exist. Please try
         550-5.1.1 double-checking the recipient's email address for typos or
         550 5.1.1 unnecessary spaces.
        Last-Attempt-Date: Sat, 28 Nov 2026 07:00:01 -0800 (PST)

        --000000000000b1
        Content-Type: message/rfc822

        """)
    body = f"{original(message_id, recipient)}\nPlease pay.\n\n--000000000000b1--\n"
    return head + body.replace("\n", "\r\n").encode()


def international(message_id: str, recipient: str) -> bytes:
    """By a server that speaks of addresses in any script (RFC 6533)."""
    head = _crlf(f"""
        From: postmaster@example.net
        To: billing@example.com
        Subject: Delivery Status Notification (Failure)
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type="delivery-status"; boundary="b"

        --b
        Content-Type: text/plain; charset=utf-8

        It was not delivered.

        --b
        Content-Type: message/global-delivery-status

        Reporting-MTA: dns; mx.example.net

        Final-Recipient: utf-8; {recipient}
        Action: failed
        Status: 5.7.1
        Diagnostic-Code: smtp; 550 5.7.1 not wanted

        --b
        Content-Type: message/global-headers

        """)
    return head + f"{original(message_id, recipient)}\n--b--\n".replace("\n", "\r\n").encode()


def plain(recipient: str) -> bytes:
    """By qmail: for people alone."""
    return _crlf(f"""
        Return-Path: <>
        From: MAILER-DAEMON@mail.example.net
        To: billing@example.com
        Subject: failure notice

        Hi. This is the qmail-send program at mail.example.net.
        I'm afraid I wasn't able to deliver your message to the following addresses.
        This is a permanent error; I've given up. Sorry it didn't work out.

        <{recipient}>:
        192.0.2.7 does not like recipient.
        Remote host said: 550 5.1.1 no such user
        """)


def away() -> bytes:
    """By somebody who is on holiday."""
    return _crlf("""
        From: Ada Example <ada@example.com>
        To: billing@example.com
        Subject: Re: Your payment is outstanding
        Auto-Submitted: auto-replied

        I am away until Monday.
        """)


def read(message_id: str) -> bytes:
    """By a mail program that tells that a mail was read."""
    return _crlf(f"""
        From: Ada Example <ada@example.com>
        To: billing@example.com
        MIME-Version: 1.0
        Content-Type: multipart/report; report-type=disposition-notification; boundary="b"

        --b
        Content-Type: text/plain

        It was displayed.

        --b
        Content-Type: message/disposition-notification

        Final-Recipient: rfc822; ada@example.com
        Original-Message-ID: {message_id}
        Disposition: manual-action/MDN-sent-manually; displayed

        --b--
        """)
